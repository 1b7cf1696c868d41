package docker

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func dockerAt(t *testing.T, text string) Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Config{Path: path}
}

func TestFindCredentials(t *testing.T) {
	helper := func(_ context.Context, program, verb, input string) ([]byte, error) {
		switch program + " " + verb + " " + input {
		case "docker-credential-good get h:1":
			return []byte(`{"ServerURL":"h:1","Username":"u","Secret":"s"}`), nil
		case "docker-credential-token get h:1":
			return []byte(`{"Username":"<token>","Secret":"s"}`), nil
		case "docker-credential-none get h:1":
			return nil, errors.New("docker-credential-none get: credentials not found in native keychain")
		case "docker-credential-odd get h:1":
			return []byte("hello"), nil
		}
		return nil, errors.New("no such helper")
	}
	for _, test := range []struct {
		name, config string
		want         Credentials
		wrong        string
	}{
		{"no file", "", Credentials{}, ""},
		{"auth", `{"auths":{"h:1":{"auth":"dTpwOnE="}}}`, Credentials{"u", "p:q"}, ""},
		{"auth by URL", `{"auths":{"https://h:1/v1/":{"auth":"dTpw"}}}`, Credentials{"u", "p"}, ""},
		{"plain", `{"auths":{"h:1":{"username":"u","password":"p"}}}`, Credentials{"u", "p"}, ""},
		{"another host", `{"auths":{"h:2":{"auth":"dTpw"},"h":{"auth":"dTpw"},"x.h:1":{"auth":"dTpw"}}}`, Credentials{}, ""},
		{"empty", `{"auths":{"h:1":{}}}`, Credentials{}, ""},
		{"damaged", `{"auths":{"h:1":{"auth":"***"}}}`, Credentials{}, "damaged"},
		{"identity token", `{"auths":{"h:1":{"identitytoken":"x"}}}`, Credentials{}, "identity token"},
		{"no JSON", `{`, Credentials{}, "not JSON"},
		{"store", `{"credsStore":"good"}`, Credentials{"u", "s"}, ""},
		{"helper wins over store", `{"credsStore":"odd","credHelpers":{"h:1":"good"}}`, Credentials{"u", "s"}, ""},
		{"store knows nothing, file does", `{"credsStore":"none","auths":{"h:1":{"auth":"dTpw"}}}`, Credentials{"u", "p"}, ""},
		{"store with token", `{"credsStore":"token"}`, Credentials{}, "identity token"},
		{"store that is odd", `{"credsStore":"odd"}`, Credentials{}, "not JSON"},
		{"store that is missing", `{"credsStore":"gone"}`, Credentials{}, "no such helper"},
		{"store that is a path", `{"credsStore":"../../bin/sh"}`, Credentials{}, "not a program's name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := dockerAt(t, test.config)
			d.Run = helper
			got, err := d.Find(t.Context(), "h:1")
			if got != test.want || (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestHelperIsRunWithLimits(t *testing.T) {
	dir := t.TempDir()
	script := func(name, body string) {
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("echo", `read host; printf '{"Username":"%s","Secret":"%s"}' "$1" "$host"`)
	script("loud", `yes | head -c 1000000`)
	script("sorry", `echo 'credentials not found in native keychain'; exit 1`)
	script("broken", `echo 'the vault is locked'; echo secret >&2; exit 1`)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	ask := func(name string) (Credentials, error) {
		return dockerAt(t, `{"credsStore":"`+name+`"}`).Find(t.Context(), "h:1")
	}
	if c, err := ask("echo"); err != nil || c != (Credentials{"get", "h:1"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := ask("loud"); err == nil || !strings.Contains(err.Error(), "KiB") {
		t.Errorf("loud: %v", err)
	}
	if c, err := ask("sorry"); err != nil || c != (Credentials{}) {
		t.Errorf("sorry: %+v, %v", c, err)
	}
	if _, err := ask("broken"); err == nil || !strings.Contains(err.Error(), "vault is locked") || strings.Contains(err.Error(), "secret") {
		t.Errorf("broken: %v", err)
	}
	if _, err := ask("absent"); err == nil {
		t.Error("absent helper: no error")
	}
}

func TestStoreKeepsTheRest(t *testing.T) {
	d := dockerAt(t, `{"auths":{"other":{"auth":"eDp5"}},"HttpHeaders":{"X":"1"},"detachKeys":"ctrl-e"}`)
	where, err := d.Store(t.Context(), "h:1", Credentials{"u", "p"})
	if err != nil || where != d.Path {
		t.Fatal(where, err)
	}
	if c, err := d.Find(t.Context(), "h:1"); err != nil || c != (Credentials{"u", "p"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := d.Find(t.Context(), "other"); err != nil || c != (Credentials{"x", "y"}) {
		t.Errorf("%+v, %v", c, err)
	}
	text, err := os.ReadFile(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	var whole map[string]any
	if err := json.Unmarshal(text, &whole); err != nil || whole["detachKeys"] != "ctrl-e" || whole["HttpHeaders"] == nil {
		t.Errorf("%v\n%s", err, text)
	}
	info, err := os.Stat(d.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := d.Erase(t.Context(), "h:1"); err != nil {
		t.Fatal(err)
	}
	if c, err := d.Find(t.Context(), "h:1"); err != nil || c != (Credentials{}) {
		t.Errorf("after erase: %+v, %v", c, err)
	}
}

func TestStoreInANewFileAndThroughASymbolicLink(t *testing.T) {
	dir := t.TempDir()
	d := Config{Path: filepath.Join(dir, "new", "config.json")}
	if _, err := d.Store(t.Context(), "h", Credentials{"u", "p"}); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.json")
	if err := os.Symlink(d.Path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := (Config{Path: link}).Store(t.Context(), "g", Credentials{"v", "q"}); err != nil {
		t.Fatal(err)
	}
	if c, err := d.Find(t.Context(), "g"); err != nil || c.User != "v" {
		t.Errorf("%+v, %v", c, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
}

func TestStoreWithAHelper(t *testing.T) {
	d := dockerAt(t, `{"credsStore":"x"}`)
	var got string
	d.Run = func(_ context.Context, program, verb, input string) ([]byte, error) {
		got = program + " " + verb + " " + input
		return nil, nil
	}
	where, err := d.Store(t.Context(), "h", Credentials{"u", "p"})
	if err != nil || where != "docker-credential-x" || got != `docker-credential-x store {"Secret":"p","ServerURL":"h","Username":"u"}` {
		t.Errorf("%s, %v, %s", where, err, got)
	}
	if text, err := os.ReadFile(d.Path); err != nil || strings.Contains(string(text), "auth") {
		t.Errorf("the file holds %s, %v", text, err)
	}
}

func TestDockerConfig(t *testing.T) {
	for want, env := range map[string]map[string]string{"/x/config.json": {"DOCKER_CONFIG": "/x", "HOME": "/h"}, "/h/.docker/config.json": {"HOME": "/h"}, "": {}} {
		if got := ConfigPath(func(k string) string { return env[k] }); got != want {
			t.Errorf("%v: %s", env, got)
		}
	}
}
