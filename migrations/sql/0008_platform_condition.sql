-- What the platform has verified about the place it runs in, so that a new owner need not refuse everything until it has looked itself.
CREATE TABLE platform_condition (
  type text NOT NULL CHECK (length(type) <= 64),
  -- The cluster's: a database that was moved to another one proves nothing there.
  place text NOT NULL CHECK (length(place) <= 64),
  epoch integer NOT NULL,
  condition jsonb NOT NULL,
  PRIMARY KEY (type, place)
);
GRANT SELECT, INSERT, UPDATE ON platform_condition TO fnctl_system;
