package kubernetes

import (
	"context"
	"time"
)

// Kind of a place that names an image.
const (
	KindContainer = "container"
	KindInit      = "init"
	KindEphemeral = "ephemeral"
	KindVolume    = "volume"
)

// Question is one image in one place.
type Question struct {
	Image    string // as the object names it
	Protocol string // k8s.validating, k8s.mutating, gatekeeper, imagepolicy
	DryRun   bool

	Operation     string // CREATE or UPDATE
	Kind          string // of the object: Pod, Deployment, ...
	Namespace     string
	Name          string // of the object; empty where the cluster generates it
	User          string // who asks the cluster
	Container     string // or volume
	ContainerKind string
}

// Outcome of a judgement.
type Outcome string

// The outcomes. Unknown is an image that this registry does not hold: what follows from that is policy.
const (
	Admitted Outcome = "admitted"
	Refused  Outcome = "refused"
	Unknown  Outcome = "unknown"
)

// Answer is a judgement about one image.
type Answer struct {
	Outcome  Outcome   `json:"outcome"`
	Image    string    `json:"image"`
	Digest   string    `json:"digest,omitempty"` // of what a pull gets now
	Pinned   string    `json:"pinned,omitempty"` // the same image by digest, as a reference; empty where there is none
	Code     string    `json:"code,omitempty"`
	Message  string    `json:"message,omitempty"` // one sentence: why not, and what to do
	Warnings []string  `json:"warnings,omitempty"`
	Decision string    `json:"decision_id,omitempty"`
	Until    time.Time `json:"valid_until,omitzero"`
	// Allowed is whether the image may run: of an admitted one true, of an unknown one what the configuration says.
	Allowed bool `json:"allowed"`
}

// Judge answers. An error, and a context that ends, mean that there is no answer: the image is refused.
type Judge interface {
	Judge(ctx context.Context, q Question) (*Answer, error)
}

// Mode is what follows from a refusal.
type Mode string

// The modes of a webhook's path: a namespace chooses by its labels which path is asked.
const (
	Enforce Mode = "enforce"
	Warn    Mode = "warn"  // allowed, and the person sees the sentence as a warning
	Audit   Mode = "audit" // allowed, and the audit log has it
)
