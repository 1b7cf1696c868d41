package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/opencontainers/go-digest"
)

// api answers like a server: a fixed document per method and path, and keeps what was sent.
type api struct {
	answers map[string]string // "GET /api/v1/x": body; a leading "403 " is the status
	got     []string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, 4096)
	n, _ := r.Body.Read(body)
	a.got = append(a.got, r.Method+" "+r.URL.RequestURI()+" "+string(body[:n]))
	answer, ok := a.answers[r.Method+" "+r.URL.Path]
	w.Header().Set("Content-Type", "application/json")
	if user, password, _ := r.BasicAuth(); user+":"+password != "u:p" {
		answer = `401 {"errors":[{"code":"UNAUTHORIZED","message":"who?"}]}`
	} else if !ok {
		answer = `404 {"errors":[{"code":"NAME_UNKNOWN","message":"there is no such thing"}]}`
	}
	if len(answer) > 4 && answer[0] >= '2' && answer[0] <= '5' && answer[3] == ' ' {
		status := 0
		_, _ = fmt.Sscanf(answer[:3], "%d", &status)
		w.WriteHeader(status)
		answer = answer[4:]
	}
	fmt.Fprint(w, answer)
}

func digestOf(s string) string { return string(store.DigestOf(digest.SHA256, []byte(s))) }

// fixed is what the server answers in TestCommands.
func fixed(d string) *api {
	return &api{answers: map[string]string{
		"GET /api/v1/authorities":            `{"authorities":[{"name":"release","kind":"key","keys":[{"id":"sha256:0123456789abcdef0123","pem":"","revoked":true}],"repositories":["acme/**"],"origin":"config"}]}`,
		"POST /api/v1/authorities":           `201 {"name":"release"}`,
		"DELETE /api/v1/authorities/release": `204 `,
		"GET /api/v1/users":                  `{"users":[{"name":"ci","origin":"runtime","grants":[{"repositories":["acme/**"],"roles":["pull","push"]}]}]}`,
		"POST /api/v1/users":                 `201 {"name":"ci","secret":"made-by-the-registry"}`,
		"DELETE /api/v1/users/ci":            `204 `,
		"GET /api/v1/revocations":            `{"revocations":[{"id":"R-1","digest":"` + d + `","repository":"**","reason":"bad\u001b[31m","by":"admin","at":"2026-01-02T03:04:05Z"}]}`,
		"POST /api/v1/revocations":           `201 {"id":"R-2","digest":"` + d + `"}`,
		"DELETE /api/v1/revocations/R-1":     `204 `,
		"POST /api/v1/restore":               `204 `,
		"GET /v2/_catalog":                   `{"repositories":["acme/app","acme/web"]}`,
		"GET /api/v1/explain":                `{"repository":"acme/app","digest":"` + d + `","state":"quarantined","kind":"image","reason":"It is not signed.","remedy":"cosign sign","authorities":["release"],"decision":{"decision_id":"D-1","entry":"admit","allow":false,"deny":[{"code":"signature.missing","msg":"no signature","policy":"signed"}]}}`,
		"GET /api/v1/verify":                 `{"repository":"acme/app","digest":"` + d + `","allowed":false,"state":"quarantined","reason":"It is not signed.","facts":[{"evidence":"` + d + `","kind":"signature","verified":false,"code":"signature.untrusted_key","message":"no authority"}]}`,
		"GET /api/v1/tree":                   `{"digest":"` + d + `","kind":"index","state":"admitted","children":[{"digest":"` + d + `","kind":"image","platform":"linux/amd64","state":"admitted"},{"digest":"` + d + `","kind":"image","absent":true}],"evidence":[{"digest":"` + d + `","kind":"evidence","artifact_type":"a/b","facts":["signature by release"]}]}`,
		"GET /api/v1/decisions/D-1":          `{"decision_id":"D-1","result":null}`,
		"GET /api/v1/audit":                  `{"records":[{"at":"2026-01-02T03:04:05Z","actor":"ci","action":"push","repository":"acme/app","tag":"v1","digest":"` + d + `","to":"quarantined"}]}`,
		"GET /api/v1/check":                  `{"problems":["m acme/app: it is wrong"]}`,
	}}
}

// commandCase is one command line and what it must do.
type commandCase struct {
	args string // split at spaces
	code int
	out  string // a part of standard output
	errs string // a part of standard error
	sent string // a part of the last request
}

func administrationCases(d string) []commandCase {
	return []commandCase{
		{"trust list", 0, "release  key   acme/**       sha256:0123456789ab (revoked)  config", "", "GET /api/v1/authorities"},
		{"trust list --wide", 0, "key sha256:0123456789abcdef0123 (revoked)", "", ""},
		{"trust list -o json", 0, `"release"`, "", ""},
		{"trust add release --key cosign.pub --repositories acme/**,b", 0, "trusted: release", "", `"repositories":["acme/**","b"]`},
		{"trust add release --key cosign.key --repositories acme/**", 2, "", "private key", ""},
		{"trust add release --key gone.pub --repositories acme/**", 1, "", "gone.pub", ""},
		{"trust add release --repositories acme/**", 2, "", "--key is missing", ""},
		{"trust add release --key cosign.pub", 2, "", "--repositories is missing", ""},
		{"trust add registry --key cosign.pub --repositories **", 2, "", "reserved", ""},
		{"trust add Bad --key cosign.pub --repositories **", 2, "", "lower-case", ""},
		{"trust remove release", 0, "no longer trusted: release", "", "DELETE /api/v1/authorities/release"},
		{"trust remove gone", 4, "", "no such thing", ""},
		{"trust remove ../users", 2, "", "not the name", ""},
		{"trust ad", 2, "", "did you mean assay trust add?", ""},
		{"nonsense -h", 2, "", `there is no command "nonsense"; see assay --help`, ""},
		{"-h nonsense", 2, "", "see assay --help", ""},
		{"help nonsense", 2, "", "see assay --help", ""},
		{"serv --help", 2, "", "did you mean assay serve", ""},
		{"help sbom nonsense", 2, "", `there is no command "nonsense"; see assay sbom --help`, ""},
		{"sbom lst -h", 2, "", "did you mean assay sbom list", ""},
		{"diff", 2, "", "did you mean assay sbom diff?", ""},
		{"completion nonsense", 2, "", "see assay completion --help", ""},
		{"help sbom diff", 0, "Compare what two images contain", "", ""},
		{"sbom diff x -h", 0, "Compare what two images contain", "", ""},
		{"completion bash", 0, "assay", "", ""},
		{"user list", 0, "ci    pull,push on acme/**  runtime", "", ""},
		{"user add ci --repositories acme/** --roles pull,push", 0, "made-by-the-registry\n", "not shown again", `"roles":["pull","push"]`},
		{"user add ci --repositories acme/** --roles owner", 2, "", "no role", ""},
		{"user add ci --repositories Acme/** --roles pull", 2, "", "repository pattern", ""},
		{"user add ci --roles pull", 2, "", "--repositories is missing", ""},
		{"user add ci --repositories **", 2, "", "--roles is missing", ""},
		{"user remove ci", 0, "removed: ci", "", ""},
		{"user remove ci -o json", 0, "{}", "", ""},
		{"revocation list", 0, `bad\x1b[31m`, "", ""},
		{"revoke acme/app@" + d + " --reason x", 0, "revocation lift R-2", "", `"repository":"acme/app"`},
		{"revoke acme/app:v1 --reason x --all-repositories", 0, "in **", "", `"repository":"**"`},
		{"revoke acme/app:v1", 2, "", "--reason is missing", ""},
		{"revocation lift R-1", 0, "lifted: R-1", "", "DELETE"},
		{"restore acme/app@" + d, 0, "restored", "", `"digest":"` + d},
		{"restore acme/app:v1", 2, "", "names no digest", ""},
	}
}

func readingCases() []commandCase {
	return []commandCase{
		{"repo list", 0, "acme/app\nacme/web\n", "", ""},
		{"repo list -o json", 0, `"acme/web"`, "", ""},
		{"explain acme/app:v1", 0, "[signature.missing] no signature", "", "reference=v1&repository=acme%2Fapp"},
		{"explain acme/app:v1 -o json", 0, `"quarantined"`, "", ""},
		{"explain Acme", 2, "", "not a reference", ""},
		{"explain", 2, "", "REF is missing", ""},
		{"explain a b", 2, "", "too many", ""},
		{"verify acme/app:v1", 3, "signature.untrusted_key", "", ""},
		{"verify acme/app:v1 -o json", 3, `"allowed": false`, "", ""},
		{"tree acme/app:v1", 0, "├─ evidence", "", ""},
		{"decision D-1", 0, `"decision_id": "D-1"`, "", ""},
		{"decision a/b", 2, "", "not the ID", ""},
		{"audit", 0, "acme/app:v1@sha256:", "", "n=500"},
		{"audit --limit 1 -o json", 0, `"actor": "ci"`, "", "n=1"},
		{"check", 1, "it is wrong", "", ""},
		{"check --data x --server y", 2, "", "leave one", ""},
		{"sbom get acme/app:v1", 4, "", "no such thing", ""},
		{"sbom get acme/app:v1 --format xml", 2, "", "no format", ""},
		{"trust list -o yaml", 2, "", "no way to print", ""},
		{"trust list --frob", 2, "", "unknown flag: --frob", ""},
		{"frobnicate", 2, "", `no command "frobnicate"`, ""},
		{"--server", 2, "", "unknown flag", ""},
		{"trust list --server http://registry.example.com", 2, "", "in the clear", ""},
		{"tree 127.0.0.1:1/a --server 127.0.0.1:2", 2, "", "leave one of them out", ""},
		{"trust list --server 127.0.0.1:1", 1, "", "assay serve", ""},
		{"version", 0, "assay ", "", ""},
		{"version -o json", 0, `"platform"`, "", ""},
		{"config schema", 0, `"$schema"`, "", ""},
		{"completion bash", 0, "bash completion", "", ""},
		{"", 0, "Exit codes", "", ""},
	}
}

func TestCommands(t *testing.T) {
	d := digestOf("x")
	a := fixed(d)
	c := newConsole(t, a)
	key := "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
	if err := os.WriteFile(filepath.Join(c.dir, "cosign.pub"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "cosign.key"), []byte("-----BEGIN PRIVATE KEY-----\nYQ==\n-----END PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runCases(t, c, a, slices.Concat(administrationCases(d), readingCases()))
}

func runCases(t *testing.T, c *console, a *api, cases []commandCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.args, func(t *testing.T) {
			a.got = nil
			code, out, errs := c.run(strings.Fields(test.args)...)
			if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(errs, test.errs) {
				t.Errorf("exit code %d\nstdout: %s\nstderr: %s", code, out, errs)
			}
			if test.sent != "" && (len(a.got) == 0 || !strings.Contains(a.got[len(a.got)-1], test.sent)) {
				t.Errorf("sent %q", a.got)
			}
			if test.code != 0 && test.errs != "" && (!strings.HasPrefix(errs, "assay: ") || strings.Count(errs, "\n") != 1) {
				t.Errorf("the error is not one line: %q", errs)
			}
			if strings.Contains(out+errs, "\x1b") {
				t.Errorf("a control byte came through: %q %q", out, errs)
			}
			if strings.Contains(test.args, "-o json") && out != "" && !json.Valid([]byte(out)) {
				t.Errorf("not JSON: %s", out)
			}
		})
	}
}

func TestExitCodesOfRefusals(t *testing.T) {
	c := newConsole(t, &api{answers: map[string]string{"GET /api/v1/audit": `403 {"errors":[{"code":"DENIED","message":"this needs the role admin\u001b[2J"}]}`}})
	if code, _, errs := c.run("audit"); code != cli.ExitRefused || errs != "assay: this needs the role admin\\x1b[2J\n" {
		t.Errorf("%d %q", code, errs)
	}
	c.env["ASSAY_PASSWORD"] = "wrong"
	if code, _, errs := c.run("audit"); code != cli.ExitRefused || !strings.Contains(errs, `credentials of "u"`) {
		t.Errorf("%d %q", code, errs)
	}
	delete(c.env, "ASSAY_USER")
	if code, _, errs := c.run("audit"); code != cli.ExitRefused || !strings.Contains(errs, "assay login") {
		t.Errorf("%d %q", code, errs)
	}
}

// TestC19_EnvironmentCredentialsGoToTheNamedServerOnly: a host in a reference must not be told the password meant for another.
func TestC19_EnvironmentCredentialsGoToTheNamedServerOnly(t *testing.T) {
	named, foreign := &api{}, newConsole(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("another host was told %s", r.Header.Get("Authorization"))
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	c := newConsole(t, named)
	host := strings.TrimPrefix(foreign.env["ASSAY_SERVER"], "http://")
	if code, _, _ := c.run("tree", host+"/acme/app"); code != cli.ExitNotFound {
		t.Errorf("exit code %d", code)
	}
	if len(named.got) != 0 {
		t.Errorf("the other server was asked: %q", named.got)
	}
}

func TestLogin(t *testing.T) {
	c := newConsole(t, &api{answers: map[string]string{"GET /v2/": "{}", "GET /api/v1/users": `{"users":[]}`}})
	delete(c.env, "ASSAY_USER")
	host := strings.TrimPrefix(c.env["ASSAY_SERVER"], "http://")
	c.stdin = "p\n"
	code, out, errs := c.run("login", "-u", "u", "--password-stdin", host)
	if code != 0 || !strings.Contains(out, "logged in to "+host+" as u") {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	text, err := os.ReadFile(filepath.Join(c.env["HOME"], ".docker/config.json"))
	if err != nil || !strings.Contains(string(text), base64.StdEncoding.EncodeToString([]byte("u:p"))) || !strings.Contains(string(text), host) {
		t.Errorf("%v\n%s", err, text)
	}
	if code, _, errs := c.run("user", "list"); code != 0 {
		t.Errorf("%d %q", code, errs)
	}
	if code, _, _ := c.run("logout", host); code != 0 {
		t.Errorf("logout: %d", code)
	}
	if code, _, _ := c.run("user", "list"); code != cli.ExitRefused {
		t.Errorf("after logout: %d", code)
	}
	c.stdin = "wrong\n"
	if code, _, errs := c.run("login", "-u", "u", "--password-stdin"); code != cli.ExitRefused || !strings.Contains(errs, "does not accept") {
		t.Errorf("wrong password: %d %q", code, errs)
	}
	for _, args := range [][]string{{"login"}, {"login", "--password-stdin"}} {
		if code, _, _ := c.run(args...); code != cli.ExitUsage {
			t.Errorf("%v: %d", args, code)
		}
	}
	c.stdin = ""
	if code, _, errs := c.run("login", "-u", "u", "--password-stdin"); code != cli.ExitUsage || !strings.Contains(errs, "no password") {
		t.Errorf("empty password: %d %q", code, errs)
	}
}

func TestPasswordsGoToTheTerminalWithWords(t *testing.T) {
	c := newConsole(t, &api{answers: map[string]string{"POST /api/v1/users": `{"name":"ci","secret":"s3cret"}`}})
	c.terminal = true
	if code, out, errs := c.run("user", "add", "ci", "--repositories", "**", "--roles", "pull"); code != 0 || !strings.Contains(out, "password: s3cret") || errs != "" {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 漢": "plain é 漢", "a\x1b[31mb": `a\x1b[31mb`, "a\nb": `a\x0ab`, "\x9b1m": `\x9b1m`, "\u009b": `\x9b`, "\u202egnp": `\u202egnp`, "\u200b": `\u200b`,
		"\x7f": `\x7f`, "a\xffb": `a\xffb`, "": "", "\U000e0041": `\ue0041`, "\r": `\x0d`,
	} {
		if got := cli.Printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzEscapeJSON(f *testing.F) {
	f.Add(`{"a":"\u001b[2J","b":["` + "\u009b\u202e\U000e0041" + `"]}`)
	f.Fuzz(func(t *testing.T, s string) {
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		out := cli.EscapeJSON(raw)
		var back, want string
		if json.Unmarshal(out, &back) != nil || json.Unmarshal(raw, &want) != nil || back != want {
			t.Errorf("%q became %q", raw, out)
		}
		if strings.ContainsFunc(string(out), cli.Hostile) {
			t.Errorf("hostile: %q", out)
		}
	})
}

func TestFactsAndFormatsHaveTheNamesOfTheirPackages(t *testing.T) {
	if verify.KindKey != "key" || sbom.SPDX != "spdx-json" || sbom.CycloneDX != "cyclonedx-json" {
		t.Error("the configuration's words differ from those of the packages")
	}
}
