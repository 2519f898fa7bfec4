#!/bin/sh
# Starts PostgreSQL as the official image does, by POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and PGDATA.
# https://github.com/docker-library/postgres/blob/master/docker-entrypoint.sh
set -eu
: "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
: "${PGDATA:=/var/lib/postgresql/data}"
: "${POSTGRES_PASSWORD:=}"
export PGDATA
# Without arguments, or with options alone, it is the server that is meant.
case "${1:--}" in
-*) set -- postgres "$@" ;;
postgres) ;;
*) exec "$@" ;;
esac

# Root owns a new volume, and PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  # A volume's folder may be closed to everybody but root.
  chmod 755 "$(dirname "$PGDATA")"
  # By its path: the shell is busybox, which has a setpriv of its own that changes no user.
  exec /usr/bin/setpriv --reuid=postgres --regid=postgres --clear-groups -- "$0" "$@"
fi

mkdir -p "$PGDATA"
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "$POSTGRES_PASSWORD" ]; then
    echo 'Error: Database is uninitialized and superuser password is not specified: set POSTGRES_PASSWORD.' >&2
    exit 1
  fi
  secret=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" >"$secret"
  initdb --username="$POSTGRES_USER" --pwfile="$secret" --auth-local=trust --auth-host=scram-sha-256 \
    --encoding=UTF8 --locale=C
  rm "$secret"
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  if [ "$POSTGRES_DB" != postgres ]; then
    pg_ctl -w start -o "-c listen_addresses=''"
    echo 'create database :"name"' |
      psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=name="$POSTGRES_DB" --username="$POSTGRES_USER" --dbname=postgres
    pg_ctl -m fast -w stop
  fi
fi
unset POSTGRES_PASSWORD
exec "$@"
