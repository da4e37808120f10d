-- How large a version's code layer is: on Kubernetes the room for it is part of a pod from its start.

-- Bytes of the uncompressed tar; NULL for versions that were built before this was kept.
ALTER TABLE version ADD COLUMN layer_bytes bigint;
