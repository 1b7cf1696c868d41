package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// diary is a decision log and a handful of waivers in memory.
type diary struct {
	events  []decisionlog.Event
	query   decisionlog.Query
	note    string
	revoked string
	failing bool
}

func (d *diary) Record(e decisionlog.Event) { d.events = append(d.events, e) }

func (d *diary) allowed(p access.Principal) error {
	if p.Name != "root" {
		return store.Errorf(store.CodeDenied, "this needs the role admin on **")
	}
	return nil
}

func (d *diary) Decisions(_ context.Context, p access.Principal, q decisionlog.Query) (*decisionlog.Page, error) {
	d.query = q
	e := decisionlog.Event{ID: "18d0", Path: "pull", Input: decisionlog.Input{Method: "GET", Repository: "acme/app", Reference: "v1", Actor: "dev"}, RequestedBy: "192.0.2.7", Timestamp: testTime, Count: 3, Seq: 7,
		Last: testTime.Add(time.Second), Prev: "00", Result: decisionlog.Result{Status: 403, Error: "DENIED", Code: "signature.missing"}}
	return &decisionlog.Page{Events: []decisionlog.Event{e}, Next: 7}, d.allowed(p)
}

func (d *diary) ExportDecisions(_ context.Context, p access.Principal, since time.Time, w io.Writer) error {
	if err := d.allowed(p); err != nil {
		return err
	}
	_, err := io.WriteString(w, `{"seq":1,"since":"`+since.Format(time.RFC3339)+"\"}\n")
	if d.failing {
		return errors.New("the disk is gone")
	}
	return err
}

func (d *diary) CheckpointDecisions(_ context.Context, p access.Principal) (*journal.Checkpoint, error) {
	return &journal.Checkpoint{Log: journal.Decisions, Size: 7, Head: "00", At: testTime, Note: "signed\n"}, d.allowed(p)
}

func (d *diary) VerifyDecisions(_ context.Context, p access.Principal, note string) (*journal.Report, error) {
	d.note = note
	return &journal.Report{Log: journal.Decisions, Records: 7, Size: 7, Problems: []string{}, OK: true}, d.allowed(p)
}

func (d *diary) CheckpointAudit(ctx context.Context, p access.Principal) (*journal.Checkpoint, error) {
	c, err := d.CheckpointDecisions(ctx, p)
	c.Log = journal.Audit
	return c, err
}

func (d *diary) VerifyAudit(_ context.Context, p access.Principal, _ string) (*journal.Report, error) {
	return &journal.Report{Log: journal.Audit, Problems: []string{"record 3 of the audit log (18d0) was removed"}}, d.allowed(p)
}

func (d *diary) Waivers(_ context.Context, p access.Principal) ([]waiverkeep.View, error) {
	if err := d.allowed(p); err != nil {
		return nil, err
	}
	return []waiverkeep.View{{Waiver: waiver.Waiver{ID: "W-7", Codes: []string{"vuln.threshold"}, Match: waiver.Match{Repositories: store.Globs{"acme/app"}}, Reason: "fixed in v2",
		Approver: "alice", NotBefore: testTime, Expires: testTime.Add(24 * time.Hour)}, State: waiverkeep.Active, Signed: []waiverkeep.Signature{{Authority: "security", Signer: "sha256:00"}}, At: testTime}}, nil
}

func (d *diary) Waiver(ctx context.Context, p access.Principal, id string) ([]waiverkeep.View, error) {
	all, err := d.Waivers(ctx, p)
	if err == nil && id != "W-7" {
		return nil, store.Errorf(store.CodeNotFound, "there is no waiver %.80q; assay waiver list shows them", id)
	}
	return all, err
}

func (d *diary) RevokeWaiver(_ context.Context, p access.Principal, id, reason string) (*waiverkeep.Revocation, error) {
	d.revoked = id
	return &waiverkeep.Revocation{ID: id, Reason: reason, By: p.Name, At: testTime}, d.allowed(p)
}

func excepting(t *testing.T) *house {
	h, _ := keeping(t)
	return h
}

func keeping(t testing.TB) (*house, *diary) {
	d := &diary{}
	return newHouse(t, func(o *Options, _ *auth.Options) {
		o.Waivers, o.Decisions, o.Sealed, o.Recorder = d, d, d, d
	}), d
}

func TestRefusalsAreRecorded(t *testing.T) {
	h, d := keeping(t)
	last := func(what, method, target string, wanted decisionlog.Event) {
		t.Helper()
		if len(d.events) != 1 {
			t.Fatalf("%s: %d events", what, len(d.events))
		}
		e := d.events[0]
		if e.Metrics["timer_server_handler_ns"] <= 0 {
			t.Errorf("%s: metrics %v", what, e.Metrics)
		}
		e.Metrics, d.events = nil, nil
		wanted.RequestedBy, wanted.Input.Method = "192.0.2.7", method
		if got, want := line(t, e), line(t, wanted); got != want {
			t.Errorf("%s %s:\n%s\nwant\n%s", what, target, got, want)
		}
	}
	h.want(401, "", "GET", "/v2/acme/app/manifests/v1", nil)
	last("not logged in", "GET", "", decisionlog.Event{Path: "pull", Input: decisionlog.Input{Repository: "acme/app", Reference: "v1", ActorKind: "anonymous"}, Result: decisionlog.Result{Status: 401, Error: "UNAUTHORIZED"}})
	h.want(404, "dev", "GET", "/v2/acme/app/manifests/none", nil)
	last("absent", "GET", "", decisionlog.Event{Path: "pull", Input: decisionlog.Input{Repository: "acme/app", Reference: "none", Actor: "dev", ActorKind: "user"}, Result: decisionlog.Result{Status: 404, Error: "MANIFEST_UNKNOWN"}})
	h.want(400, "dev", "GET", "/v2/acme/app/manifests/sha256:bad?token=hunter2", nil, "Cookie: secret=hunter2")
	last("malformed", "GET", "", decisionlog.Event{Path: "pull", Input: decisionlog.Input{Actor: "dev", ActorKind: "user", Repository: "acme/app"}, Result: decisionlog.Result{Status: 400, Error: "DIGEST_INVALID"}})
	h.want(404, "dev", "GET", "/nowhere/hunter2", nil)
	last("nowhere", "GET", "", decisionlog.Event{Path: "none", Result: decisionlog.Result{Status: 404, Error: "NAME_UNKNOWN"}})
	h.want(200, "dev", "GET", "/v2/", nil)
	h.want(200, "", "GET", "/healthz", nil)
	if len(d.events) != 0 {
		t.Errorf("what is answered is recorded: %v", d.events)
	}
	refused := refusing(t)
	refused.options.Recorder = d
	var err error
	if refused.handler, err = New(refused.options); err != nil {
		t.Fatal(err)
	}
	refused.want(403, "dev", "GET", "/v2/acme/app/manifests/v1", nil)
	if e := d.events[0]; e.Result.Code != "signature.missing" || e.Result.Message == "" || e.Result.Status != 403 || e.Result.Allow {
		t.Errorf("a refused read: %+v", e)
	}
}

func line(t *testing.T, e decisionlog.Event) string {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestC19_DecisionLog: whatever a client puts a secret into, the decision log does not have it.
func TestC19_DecisionLog(t *testing.T) {
	h, d := keeping(t)
	const canary = "hunter2canary"
	for _, target := range []string{"/v2/?x=" + canary, "/v2/acme/app/manifests/v1?auth=" + canary, "/v2/" + canary + "%00/manifests/v1", "/" + canary, "/v2/acme/app/blobs/sha256:" + canary,
		"/auth/token?account=" + canary + "&password=" + canary, "/api/v1/explain?repository=" + canary + "&reference=x", "/api/v1/decisions?" + canary + "=1", "/v2/acme/app/tags/list?n=" + canary} {
		for _, method := range []string{"GET", "PUT", "POST", canary} {
			for _, header := range []string{"Authorization: Bearer " + canary, "Authorization: Basic " + canary, "Cookie: a=" + canary, "User-Agent: " + canary, "X-Forwarded-For: " + canary, "Range: " + canary, "Content-Type: " + canary} {
				h.ask("", method, target, []byte(`{"password":"`+canary+`"}`), header)
			}
		}
	}
	if len(d.events) < 100 {
		t.Fatalf("%d events", len(d.events))
	}
	for _, e := range d.events {
		if text := line(t, e); strings.Contains(text, canary) {
			t.Errorf("the log has it: %s", text)
		}
	}
}

func TestExportBreaksOff(t *testing.T) {
	h, d := keeping(t)
	d.failing = true
	defer func() {
		if recover() == nil {
			t.Error("half an export ended as if it were the whole")
		}
	}()
	h.ask("root", "GET", "/api/v1/decisions/export", nil)
}

func TestDecisionQueries(t *testing.T) {
	h, d := keeping(t)
	h.want(200, "root", "GET", "/api/v1/decisions?repository=acme/app&digest="+sha256+"&actor=dev&code=signature.missing&since=2026-01-01T00:00:00Z&until=2026-02-01T00:00:00Z&before=9&n=5", nil)
	if q := d.query; q.Repository != "acme/app" || q.Digest != sha256 || q.Actor != "dev" || q.Code != "signature.missing" || q.Before != 9 || q.Limit != 5 || q.Since.Year() != 2026 || q.Until.Month() != 2 {
		t.Errorf("%+v", q)
	}
	for _, bad := range []string{"repository=A", "digest=x", "since=yesterday", "before=-1", "colour=red", "n=x", "actor=a&actor=b", "actor=" + strings.Repeat("a", 600)} {
		h.want(400, "root", "GET", "/api/v1/decisions?"+bad, nil)
	}
	h.want(403, "dev", "GET", "/api/v1/decisions", nil)
	h.want(403, "dev", "GET", "/api/v1/decisions/export", nil)
}
