# Makes a restored copy of the golden snapshot the preview's own, before its server starts: it has the roles, the
# passwords and the leftovers of the server that it was taken of.
set -eu

fail() {
  echo "$*" >&2
  exit 1
}

if ! [ -s "$PGDATA/PG_VERSION" ]; then
  fail "the snapshot has no PostgreSQL data in ${PGDATA#"$VOLUME"/}: set database.seed.snapshot.directory," \
    "and deploy with --reset-database"
fi
has=$(cat "$PGDATA/PG_VERSION")
# "postgres (PostgreSQL) 17.2 (Debian 17.2-1.pgdg120+1)"
runs=$(postgres --version)
runs=${runs#*') '}
if [ "$has" != "${runs%%[!0-9]*}" ]; then
  fail "the snapshot has data of PostgreSQL $has, and the server is $runs: set database.version to \"$has\"," \
    "or name such an image"
fi

# Once for each copy. A golden snapshot may be of another preview's volume, whose password is another.
marker=$VOLUME/.restored
mine=$(printf %s "$POSTGRES_PASSWORD" | sha256sum)
if [ -e "$marker" ] && [ "$(cat "$marker")" = "$mine" ]; then
  exit 0
fi

# What the other server left that would keep this one from starting, or have it follow a primary, read-only.
rm -f "$PGDATA/postmaster.pid" "$PGDATA/standby.signal" "$PGDATA/recovery.signal"

# Production's file may let in nobody from here, or everybody.
rm -f "$PGDATA/pg_hba.conf"
printf '%s\n' 'local all all trust' 'host all all all scram-sha-256' >"$PGDATA/pg_hba.conf"

# In single-user mode nobody can connect while the old password counts. Through the image's entrypoint, because
# PostgreSQL refuses to run as root. The statement comes on the standard input and is never logged: it holds the password.
# A semicolon and an empty line end it, whatever is in the password; a quote in it is doubled.
quoted=$(printf %s "$POSTGRES_PASSWORD" | sed "s/'/''/g")
printf "alter role \"%s\" login password '%s' valid until 'infinity';\n\n" "$POSTGRES_USER" "$quoted" |
  docker-entrypoint.sh postgres --single -j \
    -c exit_on_error=on -c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic \
    -c password_encryption=scram-sha-256 -c standard_conforming_strings=on -c default_transaction_read_only=off \
    -c archive_mode=off -c shared_preload_libraries= "$POSTGRES_DB" >/dev/null ||
  fail "the snapshot must have the database \"$POSTGRES_DB\" and the role \"$POSTGRES_USER\":" \
    "set database.name and database.user to those that it has"

printf '%s\n' "$mine" >"$marker"
