-- Who acts for a partition of the tenants. One partition for now; the epoch fences off an owner that was replaced.
CREATE TABLE partition_owner (
  partition integer PRIMARY KEY,
  epoch integer NOT NULL DEFAULT 0,
  taken_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO partition_owner (partition) VALUES (0);
GRANT SELECT, UPDATE ON partition_owner TO fnctl_system;
