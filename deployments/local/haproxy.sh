#!/bin/sh
# HAProxy for the local profile: Ray's template has the metrics and statistics listeners on all interfaces and
# no setting for it, so they are moved to loopback in the configuration before HAProxy reads it.
for file in "$@"; do
    case "$file" in
        *.cfg) sed -i -e 's/bind \*:/bind 127.0.0.1:/' -e 's/bind :/bind 127.0.0.1:/' "$file" ;;
    esac
done
exec "$ESERVICE_HAPROXY" "$@"
