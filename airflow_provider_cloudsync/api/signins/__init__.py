"""Sign-ins: credentials that are obtained from a service and expire. One file per method."""
