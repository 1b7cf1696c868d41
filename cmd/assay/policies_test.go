package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/cmd/assay/cli"
)

const teamPolicy = `package assay

import rego.v1

admit.deny contains {"code": "team.small", "msg": "It is too small."} if input.subject.size < 10
`

const teamTest = `package assay_test

import rego.v1

test_small if count(data.assay.admit.deny) == 1 with input as {"subject": {"size": 1}}

test_wrong if count(data.assay.admit.deny) == 0 with input as {"subject": {"size": 1}}
`

const question = `{"schema":"policy.input/v1","request":{"id":"1","entry":"admit","time":"2026-01-01T00:00:00Z","protocol":"api"},
"subject":{"repository":"acme/app","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","media_type":"x","size":SIZE,"kind":"image","state":"quarantined"},
"signatures":[],"attestations":[]}`

func TestPolicyCommands(t *testing.T) {
	c := newConsole(t, nil)
	for name, text := range map[string]string{
		"team/team.rego": teamPolicy, "tested/team.rego": teamPolicy, "tested/team_test.rego": teamTest, "tested/.hidden/x.rego": "nonsense", "wrong.rego": "package assay\n\nadmit.deny contains x if input.subjekt\n",
		"small.json": strings.Replace(question, "SIZE", "1", 1), "large.json": strings.Replace(question, "SIZE", "100", 1), "empty/readme.txt": "",
		"assay.yaml":  "policies: [{name: team, repositories: ['acme/**'], rego: team, mode: warn, params: {}}]\n",
		"broken.yaml": "policies: [{name: bad, repositories: ['**'], rego: wrong.rego}]\n",
	} {
		path := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args      string
		code      int
		out, errs string
	}{
		{"policy check", 0, "signed  enforce  **", ""},
		{"policy check builtin:open builtin:baseline builtin:sbom team", 0, "team", ""},
		{"policy check --config assay.yaml", 0, "warn  acme/**", ""},
		{"policy check wrong.rego", 1, "", "wrong.rego:3"},
		{"policy check wrong.rego -o json", 1, `"ok": false`, ""},
		{"policy check gone.rego", 1, "", "gone.rego"},
		{"policy check empty", 1, "", "holds no file"},
		{"policy check team --params {", 2, "", "not a JSON object"},
		{"policy check builtin:sigend", 1, "", "no shipped policy"},
		{"policy test tested", 1, "2 tests, 1 failed", ""},
		{"policy test tested -o json", 1, `"pass": false`, ""},
		{"policy test team", 1, "", "no test"},
		{"policy test", 2, "", "DIRECTORY is missing"},
		{"policy eval team --input small.json", 3, "[team.small] It is too small.", ""},
		{"policy eval team --input large.json", 0, "allow      true", ""},
		{"policy eval --config assay.yaml --input small.json", 0, "warn       [team.small]", ""},
		{"policy eval builtin:signed --input large.json -o json", 3, `"allow": false`, ""},
		{"policy eval team", 2, "", "--input is missing"},
		{"policy eval team --input team/team.rego", 1, "", "policy.input/v1"},
		{"config check --config assay.yaml", 0, "the configuration is right", ""},
		{"config check --config broken.yaml", 1, "", "wrong.rego:3"},
		{"config check --config gone.yaml", 1, "", "cannot be read"},
		{"config check --config assay.yaml -o json", 0, `"ok": true`, ""},
		{"config show --config assay.yaml", 0, "mode: warn", ""},
		{"config show --config assay.yaml -o json --listen 127.0.0.1:1", 0, `"listen": "127.0.0.1:1"`, ""},
		{"serve --config broken.yaml --data data --listen 127.0.0.1:0", 1, "", "wrong.rego:3"},
		{"serve --data data2 --listen 0.0.0.0:0", 1, "", "tls.cert"},
		{"serve extra", 2, "", "too many"},
	} {
		t.Run(test.args, func(t *testing.T) {
			code, out, errs := c.run(strings.Fields(test.args)...)
			if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(errs, test.errs) {
				t.Errorf("exit code %d\nstdout: %s\nstderr: %s", code, out, errs)
			}
		})
	}
}

func TestDoctorFindsWhatIsBroken(t *testing.T) {
	c := newConsole(t, nil)
	data := filepath.Join(c.dir, "data")
	if err := os.MkdirAll(filepath.Join(data, "keys"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "keys/sbom"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "assay.yaml"), []byte("sbom: {worker: /nonexistent}\nlog: {level: debug}\nauth: {anonymous: [push]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := c.run("doctor", "--config", "assay.yaml")
	if code != cli.ExitError {
		t.Errorf("exit code %d %s", code, errs)
	}
	for _, want := range []string{"fail    key sbom", "chmod 600", "warn    data directory", "chmod 700", "warn    sbom worker", "ok      fsync", "ok      clock", "ok      policies", "grant pull at most"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
