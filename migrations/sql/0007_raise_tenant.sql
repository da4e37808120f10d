-- An operator raises a tenant's risk; nothing else about a tenant changes, and it never goes back.
GRANT UPDATE (risk) ON tenant TO fnctl_system;
CREATE POLICY system_raise ON tenant FOR UPDATE TO fnctl_system USING (true) WITH CHECK (risk = 'elevated');
