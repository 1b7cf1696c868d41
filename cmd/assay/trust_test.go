package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trusting is what the server answers in TestTrustCommands.
func trusting(keyID string) *api {
	status := `{"authority":"acme-tuf","source":"dir:/srv/tuf","root":2,"timestamp":7,"snapshot":5,"targets":4,"revision":"sha256:00","expires":"2027-01-02T03:04:05Z","checked_at":"2026-01-02T03:04:05Z","pins":3,"material":["release"],"policies":["acme/app.rego"],"failures":2,"error":"the source gave no answer\u001b[2J","problems":["the role x has expired"]}`
	revoked := `{"authority":"release","kind":"serial","value":"abc","reason":"lost","by":"root","at":"2026-01-02T03:04:05Z"}`
	return &api{answers: map[string]string{
		"GET /api/v1/authorities": `{"authorities":[{"name":"release","kind":"key","keys":[{"id":"` + keyID + `","pem":""}],"revoked":{"keys":["` + keyID + `"],"serials":["abc"],"identities":["https://old.example"],"log_indexes":[7]},"repositories":["acme/**"],"origin":"config"},` +
			`{"name":"github","kind":"sigstore","identities":[{"issuer":"https://i.example","subject":"https://github.com/acme/**"},{"issuer":"https://i.example","subject_regexp":"https://x/.+"}],"repositories":["acme/**"],"origin":"runtime"},` +
			`{"name":"acme-tuf","kind":"tuf","tuf":{"root":"{}","source":"dir:/srv/tuf","refresh":600000000000},"repositories":["**"]},{"name":"supplied","kind":"key","material":"acme-tuf","repositories":["**"]}]}`,
		"POST /api/v1/authorities":                 `201 {"name":"release"}`,
		"POST /api/v1/authorities/release/revoke":  `201 ` + revoked,
		"POST /api/v1/authorities/release/restore": `204 `,
		"GET /api/v1/trust/revocations":            `{"revocations":[` + revoked + `]}`,
		"GET /api/v1/trust/status":                 `{"tuf":[` + status + `]}`,
		"POST /api/v1/trust/update":                `{"tuf":[` + status + `]}`,
		"POST /api/v1/trust/import/acme-tuf":       strings.Replace(status, `,"failures":2,"error":"the source gave no answer\u001b[2J"`, "", 1),
	}}
}

func TestTrustCommands(t *testing.T) {
	keyID := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	a := trusting(keyID)
	c := newConsole(t, a)
	for name, text := range map[string]string{
		"cosign.pub": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
		"cosign.key": "-----BEGIN PRIVATE KEY-----\nYQ==\n-----END PRIVATE KEY-----\n",
		"ca.pem":     "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n", "root.json": "{}", "mirror/timestamp.json": "{}", "mirror/targets/a": "a",
	} {
		path := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runCases(t, c, a, []commandCase{
		{"trust list", 0, "github    sigstore  acme/**       https://github.com/acme/** (issuer https://i.example) and 1 more", "", "GET /api/v1/authorities"},
		{"trust list", 0, "sha256:0123456789ab (revoked), 3 revoked", "", ""},
		{"trust list --wide", 0, "key " + keyID + " (revoked)", "", ""},
		{"trust list --wide", 0, "identity /https://x/.+/ (issuer https://i.example)", "", ""},
		{"trust list --wide", 0, "revoked log index 7", "", ""},
		{"trust list --wide", 0, "wants 1 log entries, 1 timestamps, 1 certificate timestamps", "", ""},
		{"trust list", 0, "what acme-tuf supplies", "", ""},
		{"trust revoke release " + keyID + " --reason lost", 0, "revoked: key " + keyID, "", `{"kind":"key","value":"` + keyID + `","reason":"lost"}`},
		{"trust revoke release --key " + keyID, 0, "revoked: key " + keyID, "", `"kind":"key"`},
		{"trust revoke release --serial 0A:bc", 0, "revoked: serial abc of release", "", `{"kind":"serial","value":"abc"}`},
		{"trust revoke release --identity https://github.com/acme/old", 0, "revoked: identity https://github.com/acme/old", "", `"kind":"identity"`},
		{"trust revoke release --log-index 4711", 0, "revoked: log index 4711", "", `{"kind":"log_index","value":"4711"}`},
		{"trust revoke release", 2, "", "one of --key, --serial", ""},
		{"trust revoke", 2, "", "NAME is missing", ""},
		{"trust revoke release --serial 1 --log-index 2", 2, "", "one of --key, --serial", ""},
		{"trust revoke release sha256:00", 2, "", "is not a key ID", ""},
		{"trust revoke release --serial xyz", 2, "", "hexadecimal", ""},
		{"trust revoke ../users " + keyID, 2, "", "not the name", ""},
		{"trust restore release --serial abc --reason found", 0, "restored: serial abc of release", "", `POST /api/v1/authorities/release/restore`},
		{"trust revocations", 0, "release    serial  abc", "", "GET /api/v1/trust/revocations"},
		{"trust status", 0, "acme-tuf  stale  2/7/5/4", "", "GET /api/v1/trust/status"},
		{"trust status acme-tuf", 0, "acme/app", "", ""},
		{"trust status gone", 4, "", "no authority", ""},
		{"trust update", 1, "the source gave no answer", "", `POST /api/v1/trust/update`},
		{"trust update acme-tuf -o json", 1, `"authority": "acme-tuf"`, "", `{"authority":"acme-tuf"}`},
		{"trust import acme-tuf mirror", 0, "fresh", "", "POST /api/v1/trust/import/acme-tuf"},
		{"trust import acme-tuf gone.tar", 1, "", "gone.tar", ""},
		{"trust import ../x mirror", 2, "", "not the name", ""},
		{"trust add corp --kind x509 --roots ca.pem --subject CN=release,O=Acme --repositories acme/**", 0, "trusted: corp for acme/** (CN=release,O=Acme)", "", `"roots":"-----BEGIN CERTIFICATE`},
		{"trust add notary --kind notation --certificates ca.pem --subject CN=release --repositories acme/**", 0, "trusted: notary", "", `"kind":"notation"`},
		{"trust add gh --kind sigstore --trusted-root root.json --issuer https://i.example --subject https://s.example --sct 0 --repositories acme/**", 0, "trusted: gh", "", `"profile":{"tlog":1,"timestamps":1,"sct":0}`},
		{"trust add gh --kind sigstore --trusted-root root.json --issuer https://i.example --repositories acme/**", 2, "", "--subject is missing", ""},
		{"trust add gh --kind sigstore --trusted-root root.json --subject https://s.example --repositories acme/**", 2, "", "no issuer", ""},
		{"trust add gh --kind sigstore --issuer https://i.example --subject https://s.example --repositories acme/**", 2, "", "no trusted_root", ""},
		{"trust add corp --kind x509 --certificates ca.pem --subject CN=x --repositories acme/**", 2, "", "--kind notation", ""},
		{"trust add corp --kind x509 --roots cosign.key --subject CN=x --repositories acme/**", 1, "", "private key", ""},
		{"trust add t --kind tuf --repositories acme/**", 2, "", "configuration file", ""},
		{"trust add release --key cosign.pub --not-after 2030-01-31 --repositories acme/**", 0, "(until 2030-01-31)", "", `"not_after":"2030-01-31T00:00:00Z"`},
		{"trust add release --key cosign.pub --not-after soon --repositories acme/**", 2, "", "not a time", ""},
		{"trust", 0, "Available Commands", "", ""},
	})
}
