"""proxyplane: an agent's ordinary Python over objects that it never holds."""
