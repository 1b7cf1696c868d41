package policy_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/sbom"
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
		_, err := k.a.WhyContents(ctx, admin, policy.ImageRef{Repository: app, Reference: store.Reference{Digest: i.desc.Digest}}, "", "harmless", "")
		return err
	}
	if err := why(&impatient{Context: k.ctx}); !errors.Is(err, context.Canceled) {
		t.Errorf("beyond: %v", err)
	}
	k.catchup()
	want(t, "decided meanwhile", k.get(puller, app, "v1"), denied)
	free()
	if err := why(k.ctx); err != nil {
		t.Errorf("in its turn: %v", err)
	}
}
