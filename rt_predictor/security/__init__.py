"""Who may ask, and over what: certificates, tokens, roles and the limits of one client."""
