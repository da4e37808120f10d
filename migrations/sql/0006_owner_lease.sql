-- Several control planes: one owns the partition for as long as it renews its lease, the others wait.
ALTER TABLE partition_owner ADD COLUMN holder text CHECK (length(holder) <= 253);
ALTER TABLE partition_owner ADD COLUMN expires_at timestamptz;
