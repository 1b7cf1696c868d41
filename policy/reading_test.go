package policy_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// impatient gives up as soon as it has to wait.
type impatient struct {
	context.Context
	waited atomic.Bool
}

func (i *impatient) Done() <-chan struct{} {
	i.waited.Store(true)
	done := make(chan struct{})
	close(done)
	return done
}

func (i *impatient) Err() error {
	if i.waited.Load() {
		return context.Canceled
	}
	return nil
}

// So many SBOMs are read at a time for people; who asks beyond waits, and keeps no decision waiting.
func TestAttackManyQuestionsThatReadDocuments(t *testing.T) {
	g := &generator{purl: oldLog4j, at: "/app/lib/log4j.jar"}
	k, x := indexed(t, g, freeOf(t, contentsRule))
	i := k.push(pusher, app, "v1", "one")
	k.attachSBOM(i, sbom.MediaTypeSPDX, sbom.MediaTypeSPDX, spdx("pkg:npm/harmless@1"))
	k.ingest(x)
	free := k.a.FillReading()
	why := func(ctx context.Context) error {
		_, err := k.a.WhyContents(ctx, admin, contents.Ref{Repository: app, Reference: store.Reference{Digest: i.desc.Digest}}, "", "harmless", "")
		return err
	}
	if err := why(&impatient{Context: k.ctx}); !errors.Is(err, context.Canceled) {
		t.Errorf("beyond: %v", err)
	}
	const each = 16
	ended := make(chan error, each)
	for range each {
		go func() { ended <- why(k.ctx) }()
	}
	for k.a.Reading() < each {
		runtime.Gosched()
	}
	if err := why(k.ctx); store.CodeOf(err) != store.CodeTooManyRequests {
		t.Errorf("one more: %v", err)
	}
	if _, err := k.a.WhyContents(&impatient{Context: k.ctx}, pusher, contents.Ref{Repository: app, Reference: store.Reference{Digest: i.desc.Digest}}, "", "harmless", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody else: %v", err)
	}
	k.catchup()
	want(t, "decided meanwhile", k.get(puller, app, "v1"), denied)
	free()
	for range each {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := why(k.ctx); err != nil {
		t.Errorf("in its turn: %v", err)
	}
}

// Who asks without end what images contain is refused after some, and keeps neither others nor decisions waiting for long: few are answered at a time.
func TestAttackManyQuestionsAboutContents(t *testing.T) {
	m := matchingKit(t)
	i := m.image(app, "v1", "pkg:npm/left-pad@1.0.0")
	m.database(1, osvRecord("GHSA-1", "left-pad", "2.0.0", "low"))
	ref := contents.Ref{Repository: app, Reference: store.Reference{Digest: i.desc.Digest}}
	questions := map[string]func(context.Context, access.Principal) error{
		"query": func(ctx context.Context, p access.Principal) error {
			_, err := m.a.QueryContents(ctx, p, index.Query{Pattern: "*left*"}, contents.Filter{})
			return err
		},
		"contents": func(ctx context.Context, p access.Principal) error {
			_, err := m.a.Contents(ctx, p, ref, "")
			return err
		},
		"difference": func(ctx context.Context, p access.Principal) error {
			_, err := m.a.DiffContents(ctx, p, ref, ref, "")
			return err
		},
		"history": func(ctx context.Context, p access.Principal) error {
			_, err := m.a.HistoryContents(ctx, p, app, "v1", "")
			return err
		},
		"vulnerabilities": func(ctx context.Context, p access.Principal) error {
			_, err := m.a.Vulnerabilities(ctx, p, ref, "", "", 10, false)
			return err
		},
		"images": func(ctx context.Context, p access.Principal) error {
			_, err := m.a.AffectedImages(ctx, p, "GHSA-1", nil, "", 10)
			return err
		},
	}
	free := m.a.FillAnswering()
	for name, ask := range questions {
		if err := ask(&impatient{Context: m.ctx}, puller); !errors.Is(err, context.Canceled) {
			t.Errorf("%s does not wait: %v", name, err)
		}
	}
	const each = 64
	ended := make(chan error, each)
	ctx, stop := context.WithCancel(m.ctx)
	for range each {
		go func() { ended <- questions["query"](ctx, puller) }()
	}
	for m.a.Asking() < each {
		runtime.Gosched()
	}
	for name, ask := range questions {
		if err := ask(m.ctx, puller); store.CodeOf(err) != store.CodeTooManyRequests {
			t.Errorf("%s, one more: %v", name, err)
		}
		if err := ask(&impatient{Context: m.ctx}, admin); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, somebody else: %v", name, err)
		}
	}
	later := m.image(app, "v2", "pkg:npm/left-pad@3.0.0")
	m.settle()
	want(t, "decided meanwhile", m.get(puller, app, "v2"), string(later.desc.Digest))
	stop()
	for range each {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	free()
	for name, ask := range questions {
		if err := ask(m.ctx, puller); err != nil {
			t.Errorf("%s, later: %v", name, err)
		}
	}
}
