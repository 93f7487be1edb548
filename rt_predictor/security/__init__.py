"""Access control: certificates, tokens, roles and the limits of one client."""
