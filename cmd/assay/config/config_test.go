package config

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

var update = flag.Bool("update", false, "write the golden files")

// tree is a file system for Options; paths are absolute.
type tree fstest.MapFS

func (t tree) options(path string) Options {
	fsys := fstest.MapFS(t)
	return Options{Path: path, Dir: "/etc/assay",
		ReadFile: func(p string) ([]byte, error) { return fsys.ReadFile(strings.TrimPrefix(p, "/")) },
		Stat:     func(p string) (fs.FileInfo, error) { return fsys.Stat(strings.TrimPrefix(p, "/")) },
	}
}

// publicKey is the same key for the same seed, so that goldens can name it.
func publicKey(t testing.TB, seed byte) []byte {
	t.Helper()
	return encode(t, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)).Public())
}

func encode(t testing.TB, public any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// surroundings are the files that the goldens name.
func surroundings(t testing.TB) tree {
	return tree{
		"etc/assay/cosign.pub":           {Data: publicKey(t, 1)},
		"etc/assay/other.pub":            {Data: publicKey(t, 2)},
		"etc/assay/cosign.key":           {Data: pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: []byte("x")})},
		"etc/assay/leaf.crt":             {Data: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})},
		"etc/assay/empty.pub":            {Data: []byte("nothing here\n")},
		"etc/assay/ca.pem":               {Data: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("ca")})},
		"etc/assay/tsa.pem":              {Data: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("tsa")})},
		"etc/assay/crl.pem":              {Data: pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("crl")})},
		"etc/assay/trusted_root.json":    {Data: []byte("{}\n")},
		"etc/assay/root.json":            {Data: []byte("{}\n")},
		"etc/assay/large.json":           {Data: bytes.Repeat([]byte{' '}, 1<<20+1)},
		"etc/assay/users.htpasswd":       {Data: []byte("ci:$2y$...\n")},
		"etc/assay/tls.crt":              {Data: []byte("x")},
		"etc/assay/tls.key":              {Data: []byte("x")},
		"etc/assay/rules/team/team.rego": {Data: []byte("package team\n")},
	}
}

// TestGoldens loads each testdata/config/*.yaml and compares what it says with the .golden beside it: the problems, or the effective
// configuration and its warnings.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			files := surroundings(t)
			files["etc/assay/assay.yaml"] = &fstest.MapFile{Data: text}
			var got bytes.Buffer
			c, err := Load(files.options("assay.yaml"))
			if err != nil {
				got.WriteString(err.Error() + "\n")
			} else {
				for _, w := range c.Warnings() {
					got.WriteString("# warning: " + w.In("assay.yaml") + "\n")
				}
				for _, a := range c.Advice() {
					got.WriteString("# advice: " + a.In("assay.yaml") + "\n")
				}
				shown, err := c.YAML()
				if err != nil {
					t.Fatal(err)
				}
				got.Write(shown)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
			}
		})
	}
}

func TestShownConfigurationLoadsToTheSame(t *testing.T) {
	for _, file := range []string{"testdata/config/full.yaml", "testdata/config/authorities.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files := surroundings(t)
		files["etc/assay/assay.yaml"] = &fstest.MapFile{Data: text}
		first, err := Load(files.options("assay.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		shown, err := first.YAML()
		if err != nil {
			t.Fatal(err)
		}
		files["etc/assay/assay.yaml"] = &fstest.MapFile{Data: shown}
		second, err := Load(files.options("assay.yaml"))
		if err != nil {
			t.Fatalf("%v\n%s", err, shown)
		}
		again, err := second.YAML()
		if err != nil || !bytes.Equal(shown, again) {
			t.Errorf("%s shown twice, it differs (%v):\n%s\n%s", file, err, shown, again)
		}
		if !reflect.DeepEqual(first.Trust(), second.Trust()) || !reflect.DeepEqual(first.PolicyGrants(), second.PolicyGrants()) {
			t.Errorf("%s: trust or grants changed on the way", file)
		}
	}
}

func TestNoFileAtAll(t *testing.T) {
	c, err := Load(tree{}.options(""))
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:5000" || c.Data != "/etc/assay/data" || len(c.Policies) != 1 || c.Policies[0].Rego != "builtin:signed" ||
		c.Policies[0].Mode != "enforce" || c.Policies[0].Repositories[0] != "**" || c.AnonymousRoles() != 0 || len(c.Warnings()) != 0 {
		t.Errorf("defaults: %+v, warnings %v", c, c.Warnings())
	}
}

func TestFlagsWinAndAreRelativeToTheWorkingDirectory(t *testing.T) {
	o := tree{"srv/conf/assay.yaml": {Data: []byte("listen: 127.0.0.1:1\ndata: inner\n")}}.options("/srv/conf/assay.yaml")
	c, err := Load(o)
	if err != nil || c.Data != "/srv/conf/inner" {
		t.Fatalf("%v, data %q", err, c.Data)
	}
	o.Data, o.Listen = "elsewhere", "127.0.0.1:2"
	if c, err = Load(o); err != nil || c.Data != "/etc/assay/elsewhere" || c.Listen != "127.0.0.1:2" {
		t.Errorf("%v, %+v", err, c)
	}
	o.Listen = "0.0.0.0:2"
	if _, err = Load(o); err == nil {
		t.Error("a flag lets plain HTTP out beyond loopback")
	}
}

func TestTypedValues(t *testing.T) {
	files := surroundings(t)
	files["etc/assay/assay.yaml"] = &fstest.MapFile{Data: []byte(`
auth: {anonymous: [pull]}
grants:
  - {who: ci, repositories: ["acme/**"], roles: [pull, push]}
authorities:
  - {name: release, kind: key, key: cosign.pub, not_after: 2030-01-01, repositories: [acme/app], keys: [{file: other.pub}]}
`)}
	c, err := Load(files.options("assay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if c.AnonymousRoles() != access.RolePull {
		t.Errorf("anonymous %v", c.AnonymousRoles())
	}
	want := []access.Grant{{Who: "ci", Repositories: store.Globs{"acme/**"}, Roles: access.RolePull | access.RolePush}}
	if !reflect.DeepEqual(c.PolicyGrants(), want) {
		t.Errorf("grants %+v", c.PolicyGrants())
	}
	a := c.Trust()[0]
	if a.Name != "release" || a.Origin != "config" || a.Binding != "repository" || len(a.Keys) != 2 ||
		!a.Keys[0].NotAfter.Equal(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)) || !a.Keys[1].NotAfter.IsZero() || !strings.HasPrefix(a.Keys[0].ID, "sha256:") {
		t.Errorf("authority %+v", a)
	}
	if err := c.RefuseOwnKeys(map[string]string{a.Keys[1].ID: "sbom"}); err == nil || !strings.Contains(err.Error(), "own sbom key") {
		t.Errorf("an authority with the registry's own key: %v", err)
	}
	if err := c.RefuseOwnKeys(map[string]string{"sha256:00": "sbom"}); err != nil {
		t.Error(err)
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "[::1]": true, "localhost": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example.com": false, "128.0.0.1": false, "2130706433": false} {
		if Loopback(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden := "testdata/schema.golden.json"
	if *update {
		if err := os.WriteFile(golden, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != string(text)+"\n" {
		t.Errorf("the schema differs from %s (%v)", golden, err)
	}
	var schema struct {
		Properties map[string]struct{ Description string }
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for name, p := range schema.Properties {
		if p.Description == "" {
			t.Errorf("%s has no description", name)
		}
	}
}

func TestC19_SecretsInParametersAreMasked(t *testing.T) {
	files := tree{"etc/assay/assay.yaml": {Data: []byte("policies:\n  - {name: p, repositories: ['**'], rego: 'builtin:open', params: {api_token: canary, deep: [{Password: canary}], shown: yes-this}}\n")}}
	c, err := Load(files.options("assay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	shown, err := c.YAML()
	if err != nil || bytes.Contains(shown, []byte("canary")) || !bytes.Contains(shown, []byte("yes-this")) {
		t.Errorf("%v\n%s", err, shown)
	}
	if c.Policies[0].Params["api_token"] != "canary" {
		t.Error("masking reached the configuration itself")
	}
}

// The path of a target may be what lets somebody post there: it is in no listing and in no complaint.
func TestC19_AddressesOfTargetsAreMasked(t *testing.T) {
	load := func(more string) (*Config, error) {
		files := tree{"etc/assay/assay.yaml": {Data: []byte("notify:\n  - {url: 'https://hooks.example.com/T/canary', repositories: ['**']}\n  - {url: 'https://hooks.example.net:8443', repositories: ['**']}\n" + more)}}
		return Load(files.options("assay.yaml"))
	}
	c, err := load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []func() ([]byte, error){c.YAML, c.JSON} {
		shown, err := text()
		if err != nil || bytes.Contains(shown, []byte("canary")) || !bytes.Contains(shown, []byte("https://hooks.example.com/"+settings.Masked)) || !bytes.Contains(shown, []byte("https://hooks.example.net:8443")) {
			t.Errorf("%v\n%s", err, shown)
		}
	}
	if c.Notify[0].URL != "https://hooks.example.com/T/canary" {
		t.Error("masking reached the configuration itself")
	}
	for _, more := range []string{"  - {url: 'https://hooks.example.com/T/canary', repositories: ['**']}\n", "  - {url: 'ftp://hooks.example.com/canary', repositories: ['**']}\n", "  - {url: 'https://u:canary@hooks.example.com/', repositories: ['**']}\n"} {
		if _, err := load(more); err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "notify[2].url") {
			t.Errorf("%s: %v", more, err)
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var text strings.Builder
	for i := range 500 {
		text.WriteString("key" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26) + ": 1\n")
	}
	_, err := Load(tree{"etc/assay/assay.yaml": {Data: []byte(text.String())}}.options("assay.yaml"))
	var e *settings.Error
	if !errors.As(err, &e) || len(e.Problems) != settings.MaxProblems+1 {
		t.Errorf("%v", err)
	}
}

func FuzzLoad(f *testing.F) {
	seeds, _ := filepath.Glob("testdata/config/*.yaml")
	for _, s := range seeds {
		if text, err := os.ReadFile(s); err == nil {
			f.Add(text)
		}
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("? [x]\n: y\n"))
	f.Add([]byte("<<: {listen: x}\n"))
	f.Add([]byte("--- {}\n--- {}\n"))
	f.Add([]byte("policies: [{name: a, repositories: ['**'], rego: 'builtin:open', params: {x: .nan, y: [[[]]]}}]"))
	files := surroundings(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		files := tree(fstest.MapFS(files))
		o := files.options("assay.yaml")
		read := o.ReadFile
		o.ReadFile = func(p string) ([]byte, error) {
			if p == "/etc/assay/assay.yaml" {
				return text, nil
			}
			return read(p)
		}
		c, err := Load(o)
		if err != nil {
			return
		}
		shown, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		text = shown
		if _, err := Load(o); err != nil && !bytes.Contains(shown, []byte(settings.Masked)) {
			t.Errorf("what is shown does not load: %v\n%s", err, shown)
		}
	})
}
