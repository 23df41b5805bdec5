"""The configuration files, as the package `sslcli.conf`."""
