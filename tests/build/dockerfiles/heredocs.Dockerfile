FROM debian:12
ENV NAME=world
RUN <<EOF
set -e
echo "hello $NAME"
if [ -n "$NAME" ]; then
    echo \
        continued
fi
# a comment of the shell's
EOF
RUN <<"SCRIPT"
#!/usr/bin/env python3
print("$NAME stays")
SCRIPT
RUN cat <<A >/a && cat <<'B' >/b
expanded by the shell: $NAME
A
not expanded: $NAME
B
COPY <<"raw.conf" <<cooked.conf /etc/app/
name = $NAME
raw.conf
name = $NAME
cooked.conf
COPY <<EOF /etc/motd
Welcome, ${NAME:-nobody}
EOF
