package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

func TestC18_BootstrapTellsItsSecretOnce(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Htpasswd = ""; o.Grants = nil })
	if p, err := b.as(home); err != nil || p.Challenge {
		t.Errorf("nobody is there, and callers are asked who they are: %+v, %v", p, err)
	}
	for _, guess := range []string{"", "admin", "password", "changeme", "assay"} {
		if _, err := b.as(home, basic("admin", guess)); err == nil {
			t.Errorf("a default password: %q", guess)
		}
	}
	name, secret, err := b.Bootstrap(t.Context())
	if err != nil || name != "admin" || len(secret) != 43 {
		t.Fatalf("%q, %d bytes, %v", name, len(secret), err)
	}
	p, err := b.as(home, basic(name, secret))
	if err != nil || !p.Roles("any/thing").Has(access.RoleAdmin) || !p.Challenge {
		t.Errorf("%+v, %v", p, err)
	}
	if again, s, err := b.Bootstrap(t.Context()); again != "" || s != "" || err != nil {
		t.Errorf("the second time: %q, %v", again, err)
	}
	for _, doc := range b.docs.docs {
		if strings.Contains(string(doc), secret) || !strings.Contains(string(doc), `"hash":"$2a$`) {
			t.Errorf("kept: %s", doc)
		}
	}
	if strings.Contains(b.log.String(), secret) {
		t.Error("the secret is in the log")
	}
	if b := newBench(t, nil); b != nil {
		if name, secret, err := b.Bootstrap(t.Context()); name != "" || secret != "" || err != nil {
			t.Errorf("with users in the file: %q, %v", name, err)
		}
	}
}

func TestUsersAreKept(t *testing.T) {
	b := newBench(t, nil)
	grants := []access.Grant{{Repositories: store.Globs{"team/**", "shared"}, Roles: access.RolePull | access.RoleSign}}
	secret, err := b.CreateUser(t.Context(), "boss", "robot@team", "", grants)
	if err != nil || secret == "" {
		t.Fatal(err)
	}
	if s, err := b.CreateUser(t.Context(), "boss", "admin", "a chosen password", nil); err != nil || s != "" {
		t.Fatalf("%q, %v", s, err)
	}
	users, err := b.Users(t.Context())
	if err != nil || len(users) != 4 {
		t.Fatalf("%+v, %v", users, err)
	}
	var names []string
	for _, u := range users {
		names = append(names, u.Name+" "+u.Origin)
	}
	if got := strings.Join(names, "; "); got != "admin runtime; ci htpasswd; robot@team runtime; signer htpasswd" {
		t.Error(got)
	}
	if g := users[0].Grants; len(g) != 1 || g[0].Roles != access.RolePull { // of the configuration
		t.Errorf("admin: %+v", g)
	}
	// A second process reads the same.
	other := newBench(t, func(o *Options) { o.Docs = b.docs })
	p, err := other.as(home, basic("robot@team", secret))
	if err != nil || p.Roles("team/x") != access.RolePull|access.RoleSign || p.Roles("shared") == 0 || p.Roles("else") != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	// What one process deletes the other forgets within a second.
	if err := b.DeleteUser(t.Context(), "boss", "robot@team"); err != nil {
		t.Fatal(err)
	}
	other.pass(refreshEvery)
	_, err = other.as(home, basic("robot@team", secret))
	wantCode(t, err, store.CodeUnauthorized)

	for name, tc := range map[string]struct {
		err  error
		want store.Code
	}{
		"delete unknown":   {b.DeleteUser(t.Context(), "boss", "nobody"), store.CodeNotFound},
		"delete of file":   {b.DeleteUser(t.Context(), "boss", "ci"), store.CodeConflict},
		"delete oneself":   {b.DeleteUser(t.Context(), "admin", "admin"), store.CodeConflict},
		"name of the file": {create(b, "ci", ""), store.CodeConflict},
		"name taken":       {create(b, "admin", ""), store.CodeConflict},
		"name empty":       {create(b, "", ""), store.CodeInvalid},
		"name with colon":  {create(b, "a:b", ""), store.CodeInvalid},
		"name with escape": {create(b, "a\x1b[2J", ""), store.CodeInvalid},
		"name with space":  {create(b, "a b", ""), store.CodeInvalid},
		"short password":   {create(b, "x", "short"), store.CodeInvalid},
		"long password":    {create(b, "x", strings.Repeat("x", 73)), store.CodeInvalid},
	} {
		if got := store.CodeOf(tc.err); got != tc.want {
			t.Errorf("%s: %v, want %q", name, tc.err, tc.want)
		}
	}
	_, err = newBench(t, func(o *Options) { o.Docs = nil }).CreateUser(t.Context(), "boss", "x", "", nil)
	wantCode(t, err, store.CodeUnsupported)
}

func create(b *bench, name, password string) error {
	_, err := b.CreateUser(b.t.Context(), "boss", name, password, nil)
	return err
}

func TestAuditComesBeforeTheChange(t *testing.T) {
	var seen []policy.AuditRecord
	refuse := errors.New("disk full")
	var fail error
	b := newBench(t, func(o *Options) {
		o.Audit = func(_ context.Context, r policy.AuditRecord) error { seen = append(seen, r); return fail }
	})
	if err := create(b, "robot", ""); err != nil {
		t.Fatal(err)
	}
	fail = refuse
	if err := b.DeleteUser(t.Context(), "boss", "robot"); !errors.Is(err, refuse) {
		t.Errorf("%v", err)
	}
	if len(b.docs.docs) != 1 || len(seen) != 2 || seen[0].Actor != "boss" || seen[0].Action != "user" || seen[0].Reason != "created user robot" {
		t.Errorf("%d documents, %+v", len(b.docs.docs), seen)
	}
}

func TestTheFileWinsOverADocument(t *testing.T) {
	b := newBench(t, nil)
	everything := []access.Grant{{Repositories: store.Globs{"**"}, Roles: access.RoleAdmin}}
	if _, err := b.CreateUser(t.Context(), "boss", "late", "the document's", everything); err != nil {
		t.Fatal(err)
	}
	b.file["users.htpasswd"].Data = append(b.file["users.htpasswd"].Data, "late:"+hashOf(t, "the file's", minCost)+"\n"...)
	b.file["users.htpasswd"].ModTime = b.clock()
	b.pass(refreshEvery)
	if p, err := b.as(home, basic("late", "the file's")); err != nil || p.Roles("x") != 0 {
		t.Errorf("%+v, %v: a user of the file inherits a document's grants", p, err)
	}
	_, err := b.as(home, basic("late", "the document's"))
	wantCode(t, err, store.CodeUnauthorized)
}

func TestHtpasswdIsReadAgain(t *testing.T) {
	b := newBench(t, nil)
	file := b.file["users.htpasswd"]
	login := func(name string) error { _, err := b.as(home, basic(name, "a new password")); return err }
	line := func(name string) string { return name + ":" + hashOf(t, "a new password", minCost) + "\n" }

	file.Data, file.ModTime = append(file.Data, line("new1")...), b.clock()
	wantCode(t, login("new1"), store.CodeUnauthorized) // within the second
	b.pass(refreshEvery)
	if err := login("new1"); err != nil {
		t.Error(err)
	}
	// The same size and the same time stamp as a file that was just written: time stamps are coarse.
	file.Data = []byte(strings.Replace(string(file.Data), "new1", "new2", 1))
	b.pass(refreshEvery)
	if err := login("new2"); err != nil {
		t.Error(err)
	}
	// Half of an edit: the last good content stays.
	good := file.Data
	file.Data, file.ModTime = []byte("new2:$2y$05$half"), b.clock()
	b.pass(refreshEvery)
	if err := login("new2"); err != nil {
		t.Error(err)
	}
	b.pass(refreshEvery)
	if err := login("new2"); err != nil {
		t.Error(err)
	}
	if n := strings.Count(b.log.String(), "malformed"); n != 1 {
		t.Errorf("the problem was logged %d times", n)
	}
	wantCode(t, b.Reload(t.Context()), store.CodeInvalid)
	// Gone: so are its users.
	delete(b.file, "users.htpasswd")
	b.pass(refreshEvery)
	wantCode(t, login("new2"), store.CodeUnauthorized)
	file.Data, file.ModTime = good, b.clock()
	b.file["users.htpasswd"] = file
	b.pass(refreshEvery)
	if err := login("new2"); err != nil {
		t.Error(err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	key, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, nil)
	for name, change := range map[string]func(*Options){
		"no key":       func(o *Options) { o.Key = Key{} },
		"no clock":     func(o *Options) { o.Clock = nil },
		"missing file": func(o *Options) { o.Htpasswd = "other" },
		"cost":         func(o *Options) { o.Cost = 31 },
	} {
		o := Options{Key: key, Clock: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Files: b.file, Htpasswd: "users.htpasswd"}
		change(&o)
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDocumentsThatCannotBeRead(t *testing.T) {
	b := newBench(t, nil)
	hash := hashOf(t, "a good password", minCost)
	for name, doc := range map[string]string{
		"plain":   `{"hash":"a good password","grants":[]}`,
		"field":   `{"hash":"` + hash + `","grants":[],"is_admin":true}`,
		"role":    `{"hash":"` + hash + `","grants":[{"repositories":["**"],"roles":["root"]}]}`,
		"garbage": `{`,
	} {
		b.docs.docs[name] = []byte(doc)
	}
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name := range b.docs.docs {
		_, err := b.as(home, basic(name, "a good password"))
		wantCode(t, err, store.CodeUnauthorized)
	}
	if _, err := b.as(home, basic("ci", ciPassword)); err != nil {
		t.Error(err)
	}
}

func FuzzParseHtpasswd(f *testing.F) {
	const hash = "$2y$10$abcdefghijklmnopqrstuuJ8dQ9m1Zr0x0x0x0x0x0x0x0x0x0x0x"
	for _, s := range []string{"a:" + hash, "a:" + hash + "\r\nb:" + hash + "\n", "# comment\n\n", "a:{SHA}x", "a:b:c", ":" + hash, "a\x00:" + hash, "a:$2y$99$x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		users, err := ParseHtpasswd(strings.NewReader(s))
		if err != nil {
			return
		}
		for name, hash := range users {
			cost, err := costOf(hash)
			if err != nil || cost < minCost || cost > maxCost || !validUserName(name) || !strings.Contains(s, name+":"+hash) {
				t.Fatalf("%q: %q %q %v", s, name, hash, err)
			}
		}
	})
}
