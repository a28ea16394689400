"""RUN --mount."""

import pytest

from layerstore.build.mount import Mount, parse_mount
from layerstore.errors import InvalidInput


def same(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/x", Mount("bind", target="/x", is_read_only=True)),
        ("type=bind,src=a,dst=/x,rw", Mount("bind", source="a", target="/x")),
        ("type=BIND,from=base,destination=/x,ro=false", Mount("bind", "base", target="/x")),
        ("type=cache,target=/c", Mount("cache", target="/c")),
        (
            "type=cache,id=k,target=/c,sharing=LOCKED,mode=0700,uid=1,gid=2,from=s,readonly",
            Mount(
                "cache",
                "s",
                target="/c",
                is_read_only=True,
                key="k",
                sharing="locked",
                mode=0o700,
                uid=1,
                gid=2,
            ),
        ),
        ("type=tmpfs,target=/t,size=1m", Mount("tmpfs", target="/t", size=1 << 20)),
        ("type=secret,id=s,required", Mount("secret", key="s", is_required=True, is_read_only=True)),
        (
            "required=true,type=secret,target=/s,env=S",
            Mount("secret", target="/s", is_required=True, is_read_only=True, environment="S"),
        ),
        ("type=ssh", Mount("ssh", is_read_only=True)),
        ('target=/x,"source=a,b"', Mount("bind", source="a,b", target="/x", is_read_only=True)),
    ],
)
def test_a_mount_is_its_fields(text: str, mount: Mount) -> None:
    assert parse_mount(text) == parse_mount(text, same) == mount


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("type=bnd,target=/x", "unsupported mount type 'bnd' (did you mean bind?)"),
        ("targt=/x", "unexpected key 'targt' in 'targt=/x' (did you mean target?)"),
        ("target", "must be a key=value pair"),
        ("target=/x,ro=maybe", "invalid value for readonly"),
        ("type=cache,target=/x,sharing=lock", "unsupported sharing value 'lock'"),
        ("target=/x,mode=0700", "mode not allowed for 'bind' type mounts"),
        ("type=tmpfs,target=/x,uid=1", "uid not allowed for 'tmpfs'"),
        ("target=/x,required", "required not allowed for 'bind'"),
        ("target=/x,size=1m", "size not allowed for 'bind'"),
        ("type=tmpfs,target=/x,size=big", "invalid value for size"),
        ("target=/x,sharing=shared", "sharing not allowed for 'bind'"),
        ("type=cache,target=/x,mode=9", "invalid value 9 for mode"),
        ("type=cache,target=/x,uid=-1", "invalid value -1 for uid"),
        ("type=cache,target=/x,uid=2147483648", "invalid value 2147483648 for uid"),
        ("type=secret", "one of source, target required"),
        ("type=secret,id=a,src=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("from=$x,target=/x", "'from' doesn't support variable expansion"),
        ('target="/x', "failed to parse csv mounts"),
    ],
)
def test_mounts_that_make_no_sense_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_mount(text)

    assert reason in caught.value.message


def test_fields_with_variables_wait_for_them() -> None:
    text = "type=$kind,target=$dir,mode=0700,from=base"

    assert parse_mount(text).origin == "base"
    expanded = parse_mount(text, lambda word: {"$kind": "cache", "$dir": "/d"}.get(word, word))
    assert (expanded.type, expanded.target, expanded.mode) == ("cache", "/d", 0o700)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("target=x", "/work/x"),
        ("target=../../../x", "/x"),
        ("target=/a/../b", "/b"),
        ("type=secret,id=dir/name", "/run/secrets/name"),
        ("type=secret,id=name,env=X", ""),
        ("type=ssh", ""),
    ],
)
def test_targets_are_made_absolute(text: str, target: str) -> None:
    assert parse_mount(text).resolved("/work").target == target


@pytest.mark.parametrize("text", ["target=/", "target=..", "type=cache,target=../.."])
def test_nothing_is_mounted_on_the_root(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid mount target"):
        parse_mount(text).resolved("/work")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("type=secret,id=a", "a"),
        ("type=secret,src=a", "a"),
        ("type=secret,target=/x/a", "a"),
    ],
)
def test_a_secret_has_a_key(text: str, key: str) -> None:
    assert parse_mount(text).secret_key == key


def test_a_cache_is_named_by_its_target_unless_it_has_an_id() -> None:
    assert parse_mount("type=cache,target=/c").cache_key == "/c"
    assert parse_mount("type=cache,target=/c,id=i").cache_key == "i"
