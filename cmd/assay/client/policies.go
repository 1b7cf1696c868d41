package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// Candidate is policies that may come into force: those in force with some replaced, added and left out, or others altogether.
type Candidate struct {
	Policies []policy.Binding `json:"policies,omitempty"`
	Without  []string         `json:"without,omitempty"`
	Whole    bool             `json:"whole,omitempty"`
	Staged   bool             `json:"staged,omitempty"`
	Reason   string           `json:"reason,omitempty"`
}

// PolicyStatus is what is in force, and beside it.
type PolicyStatus struct {
	Revision uint64         `json:"revision"`
	Set      string         `json:"set"`
	By       string         `json:"by"`
	At       time.Time      `json:"at"`
	Reason   string         `json:"reason"`
	Lapsed   uint64         `json:"lapsed"`
	Policies []PolicyEntry  `json:"policies"`
	Staged   *StagedStatus  `json:"staged"`
	Sources  []PolicyOrigin `json:"sources"`
}

// PolicyEntry is one policy in force.
type PolicyEntry struct {
	Name         string        `json:"name"`
	Title        string        `json:"title"`
	Mode         contract.Mode `json:"mode"`
	Repositories store.Globs   `json:"repositories"`
	From         string        `json:"from"`
	Revision     string        `json:"revision"`
}

// StagedStatus is what is staged, and what live traffic showed of it.
type StagedStatus struct {
	Digest string         `json:"digest"`
	By     string         `json:"by"`
	At     time.Time      `json:"at"`
	Reason string         `json:"reason"`
	Error  string         `json:"error"`
	Shadow *shadow.Report `json:"shadow"`
}

// PolicyOrigin is where policies come from, and how the last look went.
type PolicyOrigin struct {
	Ref       string       `json:"ref"`
	Digest    store.Digest `json:"digest"`
	Revision  uint64       `json:"revision"`
	SignedBy  string       `json:"signed_by"`
	At        time.Time    `json:"at"`
	CheckedAt time.Time    `json:"checked_at"`
	Failures  int          `json:"failures"`
	Error     string       `json:"error"`
}

// Activation is a set that came into force, and what that changed.
type Activation struct {
	Set    policy.PolicySet `json:"set"`
	Report *replay.Report   `json:"report"`
}

// PolicySets are sets that were in force.
type PolicySets struct {
	Sets []policy.PolicySet `json:"sets"`
}

// PolicyStatus asks which policies are in force.
func (c *Client) PolicyStatus(ctx context.Context) (*Answer[PolicyStatus], error) {
	return ask[PolicyStatus](ctx, c, http.MethodGet, "policies", nil, nil)
}

// PolicyHistory asks which were.
func (c *Client) PolicyHistory(ctx context.Context) (*Answer[PolicySets], error) {
	return ask[PolicySets](ctx, c, http.MethodGet, "policies/history", nil, nil)
}

// StagePolicies puts a candidate beside the policies in force.
func (c *Client) StagePolicies(ctx context.Context, candidate Candidate) (*Answer[policy.PolicySet], error) {
	return ask[policy.PolicySet](ctx, c, http.MethodPost, "policies/staged", nil, candidate)
}

// UnstagePolicies takes it away.
func (c *Client) UnstagePolicies(ctx context.Context) (*Answer[json.RawMessage], error) {
	return ask[json.RawMessage](ctx, c, http.MethodDelete, "policies/staged", nil, nil)
}

// ActivatePolicies puts what is staged into force, unless it newly denies more than that many manifests.
func (c *Client) ActivatePolicies(ctx context.Context, maxNewlyDenied int) (*Answer[Activation], error) {
	return ask[Activation](ctx, c, http.MethodPost, "policies/activate", nil, map[string]int{"max_newly_denied": maxNewlyDenied})
}

// RollBackPolicies puts the set before into force again; with a source it permits that its policies go back to that digest.
func (c *Client) RollBackPolicies(ctx context.Context, source string, d store.Digest) (*Answer[PolicyStatus], error) {
	body := map[string]string{}
	if source != "" {
		body = map[string]string{"source": source, "digest": string(d)}
	}
	return ask[PolicyStatus](ctx, c, http.MethodPost, "policies/rollback", nil, body)
}

// Replay is what is replayed.
type Replay struct {
	Candidate
	Repositories store.Globs `json:"repositories,omitempty"`
	Examples     int         `json:"examples"`
}

// ReplayPolicies has a candidate decide everything that is stored. It answers when that is done.
func (c *Client) ReplayPolicies(ctx context.Context, r Replay) (*Answer[replay.Report], error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	a, err := c.do(ctx, request{method: http.MethodPost, path: apiRoot + "policies/replay", body: body, accept: []string{"application/x-ndjson", "application/json"}})
	if err != nil {
		return nil, err
	}
	for lines := json.NewDecoder(bytes.NewReader(a.body)); ; {
		var line struct {
			Report json.RawMessage `json:"report"`
			Code   string          `json:"code"`
			Error  string          `json:"error"`
		}
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%s broke off before the replay was done; ask again", c.server.Host)
		case err != nil:
			return nil, fmt.Errorf("%s answers the replay in a form that this program does not understand; is it a registry of the same version?", c.server.Host)
		case line.Error != "":
			return nil, &StatusError{Status: http.StatusConflict, Code: line.Code, Message: line.Error}
		case line.Report != nil:
			answer := &Answer[replay.Report]{Raw: line.Report}
			return answer, json.Unmarshal(line.Report, &answer.Value)
		}
	}
}
