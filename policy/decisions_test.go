package policy_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/store"
)

// segments keeps a journal in memory.
type segments map[string][]byte

func (s segments) List() ([]string, error) { return slices.Sorted(maps.Keys(s)), nil }

func (s segments) Open(name string) (io.ReadCloser, error) {
	b, ok := s[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(b))), nil
}

func (s segments) Append(name string, b []byte) error {
	s[name] = append(s[name], b...)
	return nil
}

func (s segments) Truncate(name string, size int64) error {
	s[name] = s[name][:size]
	return nil
}

func (s segments) Replace(name string, b []byte) error {
	s[name] = bytes.Clone(b)
	return nil
}

func (s segments) Remove(name string) error {
	delete(s, name)
	return nil
}

// newLogged is a gate that keeps a decision log.
func newLogged(t *testing.T) (*kit, *decisionlog.Log) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var log *decisionlog.Log
	k := newKit(t, func(o *policy.Options) {
		j, err := journal.Open(journal.Options{Log: journal.Decisions, Segments: segments{}, Key: key, Clock: o.Clock, Keep: 48 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		log = decisionlog.New(decisionlog.Options{Journal: j, Clock: o.Clock, Log: o.Log, ID: func(at time.Time) string { return fmt.Sprintf("%032x", at.UnixNano()) }})
		o.Decisions = log
	})
	return k, log
}

func TestVerdictsAreInTheDecisionLog(t *testing.T) {
	k, _ := newLogged(t)
	i := k.push(pusher, "acme/app", "v1", "one")
	k.sign(signer, "acme/app", i.desc.Digest, k.key)
	p, err := k.a.Decisions(k.ctx, admin, decisionlog.Query{Digest: i.desc.Digest})
	if err != nil || len(p.Events) != 2 || p.Events[0].Result.State != store.StateAdmitted || !p.Events[0].Result.Allow || p.Events[1].Result.Code != "signature.missing" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := k.a.Decisions(k.ctx, pusher, decisionlog.Query{}); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("a pusher: %v", err)
	}
	team := user("team", access.RoleAdmin, "acme/**")
	if _, err := k.a.Decisions(k.ctx, team, decisionlog.Query{}); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("everything, for an administrator of some: %v", err)
	}
	if p, err = k.a.Decisions(k.ctx, team, decisionlog.Query{Repository: "acme/app"}); err != nil || len(p.Events) == 0 {
		t.Errorf("an administrator of the repository: %+v, %v", p, err)
	}
	var out bytes.Buffer
	if err := k.a.ExportDecisions(k.ctx, admin, time.Time{}, &out); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != len(p.Events) {
		t.Errorf("exported %q, %v", out.String(), err)
	}
}

func TestClustersAreInTheDecisionLog(t *testing.T) {
	k, log := newLogged(t)
	i := k.push(pusher, "acme/app", "v1", "one")
	ask := func() {
		t.Helper()
		if _, err := k.a.Image(k.ctx, asked.Image{Repository: "acme/app", Reference: store.Reference{Tag: "v1"}, Protocol: "k8s.validating",
			K8s: contract.K8sInput{Image: "registry.example/acme/app:v1", Registry: "registry.example", Namespace: "team"}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		ask()
	}
	k.sign(signer, "acme/app", i.desc.Digest, k.key)
	ask() // admitted: nothing to tell
	page, err := log.Query(k.ctx, decisionlog.Query{Repository: "acme/app"})
	if err != nil {
		t.Fatal(err)
	}
	var told []decisionlog.Event
	for _, e := range page.Events {
		if e.Path == "k8s" {
			told = append(told, e)
		}
	}
	if len(told) != 1 || told[0].Count != 3 || told[0].Input.Namespace != "team" || told[0].Result.Code != "signature.missing" {
		t.Errorf("%+v", told)
	}
}
