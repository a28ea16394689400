"""``--format`` templates behave as Go's text/template and docker's functions do."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import UsageError
from lstore.cli.template import Template
from lstore.cli.template.nodes import Value

IMAGE: Value = {
    "Id": "sha256:abc",
    "Size": 5091234,
    "Ratio": 0.5,
    "Tags": ["debian:12", "debian:bookworm"],
    "Config": {"Env": ["PATH=/bin"], "Cmd": None, "Labels": {"b": "2", "a": "1"}},
    "Empty": "",
    "Dangling": False,
}

RENDERED = [
    ("plain", "plain"),
    ("{{.Id}}", "sha256:abc"),
    ("{{.Config.Env}}", "[PATH=/bin]"),
    ("{{.Config.Labels}}", "map[a:1 b:2]"),
    ("{{.Config.Cmd}}", "<no value>"),
    ("{{json .Config.Cmd}}", "null"),
    ("{{json .Tags}}", '["debian:12","debian:bookworm"]'),
    ("{{.Size}} {{.Ratio}} {{.Dangling}}", "5091234 0.5 false"),
    ('{{join .Tags ", "}}', "debian:12, debian:bookworm"),
    ('{{.Id | upper | printf "%s!"}}', "SHA256:ABC!"),
    ('{{index (split .Id ":") 1}}', "abc"),
    ("{{index .Tags 1}}", "debian:bookworm"),
    ('{{index .Config.Labels "a"}}{{index .Config.Labels "none"}}', "1"),
    ("{{len .Tags}} {{len .Id}}", "2 10"),
    ("{{truncate .Id 6}}", "sha256"),
    ('{{title "hello wide world"}}', "Hello Wide World"),
    ('{{pad "x" 1 2}}|', " x  |"),
    ("{{println .Id}}", "sha256:abc\n"),
    ("{{print 1 2}} {{print 1 `a` 2}}", "1 2 1a2"),
    ('{{printf "%-5s|%05d|%.2f|%q" "ab" 42 0.5 "x"}}', 'ab   |00042|0.50|"x"'),
    ('{{printf "%t %% %v" true .Tags}}', "true % [debian:12 debian:bookworm]"),
    ('{{printf "%d" "x"}}', "%!d(string=x)"),
    ('{{printf "%s"}}{{printf "a" 1}}', "%!s(MISSING)a%!(EXTRA int=1)"),
    ('{{printf "%s" 5}} {{printf "%x" "hi"}} {{printf "%d" nil}}', "%!s(int=5) 6869 %!d(<nil>)"),
    ('{{printf "%g %e %.1f" 1234.5 1234.5 2.25}}', "1234.5 1.234500e+03 2.2"),
    ("{{if .Empty}}yes{{else}}no{{end}}", "no"),
    ("{{if .Dangling}}a{{else if .Tags}}b{{else}}c{{end}}", "b"),
    ('{{if eq .Id "x" "sha256:abc"}}same{{end}}', "same"),
    ("{{if and (gt .Size 10) (not .Dangling)}}big{{end}}", "big"),
    ("{{or .Empty .Id}}", "sha256:abc"),
    ("{{range .Tags}}<{{.}}>{{end}}", "<debian:12><debian:bookworm>"),
    ("{{range $i, $t := .Tags}}{{$i}}={{$t}} {{end}}", "0=debian:12 1=debian:bookworm "),
    ("{{range $k, $v := .Config.Labels}}{{$k}}{{$v}}{{end}}", "a1b2"),
    ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
    ("{{range .Tags}}{{$.Size}} {{end}}", "5091234 5091234 "),
    ("{{with .Config}}{{.Env}}{{end}}{{with .Empty}}x{{else}}-{{end}}", "[PATH=/bin]-"),
    ("{{$n := 0}}{{range .Tags}}{{$n = .}}{{end}}{{$n}}", "debian:bookworm"),
    ("{{$n := 0}}{{range .Tags}}{{$n := .}}{{end}}{{$n}}", "0"),
    ("a  {{- .Empty -}}  b", "ab"),
    ("a{{/* nothing }} to see */}}b", "ab"),
    ("a {{- /* trimmed */ -}} b", "ab"),
    ('{{"quoted }} braces"}}{{`raw\\n`}}{{"\\t"}}', "quoted }} braces" + "raw\\n" + "\t"),
    ("{{slice .Id 7}}{{slice .Id 0 3}}", "abcsha"),
    ("{{(index .Tags 0)}}", "debian:12"),
    ("{{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{ge 1 2}}", "true true true false"),
]


@pytest.mark.parametrize(("source", "expected"), RENDERED)
def test_renders_as_go_does(source: str, expected: str) -> None:
    assert Template(source).render(IMAGE) == expected


REFUSED = [
    ("{{.Id", "line 1, column 1: this action is never closed"),
    ("x\n{{.Nope}}", "line 2, column 3: no field 'Nope'"),
    ("{{.id}}", "did you mean .Id?"),
    ("{{jsn .}}", "no function 'jsn'; did you mean json?"),
    ("{{if .Id}}x", "{{if}} has no {{end}}"),
    ("{{end}}", "unexpected {{end}}"),
    ("{{if .Id}}{{else}}{{else}}{{end}}", "unexpected {{else}}"),
    ("{{}}", "a value is missing"),
    ("{{.Id | }}", "a value is missing"),
    ("{{.Id | .Size}}", "only a function can follow |"),
    ("{{.Id .Size}}", "only a function takes arguments"),
    ("{{(.Id}}", "never closed"),
    ('{{"open}}', "this string is never closed"),
    ('{{"\\z"}}', "bad escape"),
    ("{{$x}}", "undefined variable $x"),
    ("{{$x = 1}}", "undefined variable $x"),
    ("{{upper .Size}}", "upper: expected a string, not 5091234"),
    ("{{index .Tags 7}}", "index 7 is out of range"),
    ("{{eq 1 `1`}}", "cannot compare 1 with 1"),
    ("{{json}}", "0 arguments do not fit function json"),
    ("{{range .Id}}{{end}}", "cannot range over"),
    ("{{.Id.Deeper}}", "sha256:abc has no field 'Deeper'"),
    ("{{&}}", "unexpected '&'"),
    ("{{.Id)}}", "unexpected ')'"),
    ("{{" + "(" * 60 + "1" + ")" * 60 + "}}", "nested deeper"),
    ("{{range $i, 3 := .Tags}}{{end}}", "a variable must follow"),
    ("{{json if}}", "no function 'if'"),
]


@pytest.mark.parametrize(("source", "message"), REFUSED)
def test_what_is_wrong_is_pointed_at(source: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Template(source).render(IMAGE)

    assert message in caught.value.message


@given(st.text(alphabet='{}.|()$"`-/* \nIdifendrangeelsewith,:=1'))
def test_any_text_renders_or_is_refused(source: str) -> None:
    with suppress(UsageError):
        Template(source).render(IMAGE)


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_stands_for_itself(source: str) -> None:
    assert Template(source).render(None) == source
