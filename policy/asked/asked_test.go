package asked

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

const app = store.Name("acme/app")

// asker remembers, at a clock that moves with each request.
type asker struct {
	*Memory
	t     *testing.T
	local *store.Local
	now   time.Time
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	a := &asker{t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	var err error
	if a.local, err = store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: a.clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	a.Memory = New(a.local, a.clock)
	return a
}

func (a *asker) clock() time.Time {
	a.now = a.now.Add(time.Second)
	return a.now
}

func (a *asker) cluster(namespace string) {
	a.Image(&Image{Repository: app, Reference: store.Reference{Tag: "v1"}, K8s: contract.K8sInput{Namespace: namespace}})
}

func (a *asker) push(by, tag string) {
	a.Push(Request{Repository: app, Tag: tag, Actor: &contract.ActorInput{Name: by}})
}

// restart writes what is remembered and reads it into another memory.
func (a *asker) restart() {
	a.t.Helper()
	if err := a.Flush(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	a.Memory = New(a.local, a.clock)
	if err := a.Load(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
}

func names(list []Request) string {
	var all []string
	for _, r := range list {
		name := r.Tag
		if r.Image != nil {
			name = r.Image.K8s.Namespace
		}
		all = append(all, fmt.Sprint(name, "x", r.Count))
	}
	return strings.Join(all, " ")
}

func TestLikeRequestsAreOneAndTheNewestComesFirst(t *testing.T) {
	a := newAsker(t)
	for _, namespace := range []string{"one", "two", "one", "one"} {
		a.cluster(namespace)
	}
	a.push("ci", "v1")
	a.push("ci", "v2")
	a.push("ci", "v1")
	for range 2 {
		if got := names(a.Of(contract.EntryK8s)); got != "onex3 twox1" {
			t.Error(got)
		}
		if got := names(a.Of(contract.EntryPush)); got != "v1x2 v2x1" {
			t.Error(got)
		}
		a.restart()
	}
	first := a.Of(contract.EntryK8s)[0]
	if first.First.Equal(first.Last) || first.Image.Reference.Tag != "v1" {
		t.Errorf("%+v", first)
	}
}

func TestWhoeverAsksEverOtherThingsDisplacesItsOwn(t *testing.T) {
	a := newAsker(t)
	a.push("honest", "v1")
	for n := range 2 * kept {
		a.push("loud", fmt.Sprint("t", n))
	}
	list := a.Of(contract.EntryPush)
	if len(list) != share+1 || list[0].Tag != fmt.Sprint("t", 2*kept-1) || list[len(list)-1].Tag != "v1" {
		t.Errorf("%d requests", len(list))
	}
	for n := range kept {
		a.push(fmt.Sprint("p", n), "v1")
	}
	a.restart()
	if list = a.Of(contract.EntryPush); len(list) != kept || names(list[kept-1:]) != "v1x1" || list[0].Actor.Name != fmt.Sprint("p", kept-1) {
		t.Errorf("%d requests", len(list))
	}
	a.push("another", "v1") // in place of the oldest, over the restart, too
	if list = a.Of(contract.EntryPush); len(list) != kept || list[kept-1].Actor.Name != "p1" {
		t.Errorf("%d requests, the oldest by %s", len(list), list[len(list)-1].Actor.Name)
	}
}

func TestOfARefusedPushTheDocumentIsKept(t *testing.T) {
	a := newAsker(t)
	doc := &contract.Input{Subject: contract.SubjectInput{Repository: app, Tag: "latest", Digest: "sha256:a"}, Actor: &contract.ActorInput{Name: "ci"}}
	a.Refused(doc)
	large := *doc
	large.Subject.Tag, large.Subject.ArtifactType = "large", strings.Repeat("x", maxKept)
	a.Refused(&large)
	a.restart()
	if list := a.Of(contract.EntryPush); names(list) != "latestx1" || !strings.Contains(string(list[0].Input), `"latest"`) || list[0].Actor.Name != "ci" {
		t.Errorf("%+v", list)
	}
}

func TestWhatIsDamagedIsLeftOut(t *testing.T) {
	a := newAsker(t)
	a.cluster("one")
	a.restart()
	if err := a.local.Update(t.Context(), func(tx *store.Txn) error {
		for k, v := range map[string]string{"k8s\x000001": "{", "k8s\x009999": "{}", "k8s\x00x": "{}", "push\x00-001": "{}"} {
			tx.Space(space).Put([]byte(k), []byte(v))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	a.restart()
	if got := names(a.Of(contract.EntryK8s)) + names(a.Of(contract.EntryPush)); got != "onex1" {
		t.Error(got)
	}
}
