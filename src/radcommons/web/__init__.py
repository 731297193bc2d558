"""What the hub and the reader study share as web servers: settings, security, accounts, style, health."""
