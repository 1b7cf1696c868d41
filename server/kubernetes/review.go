package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The protocol of admission reviews (admission.k8s.io/v1).
const (
	reviewVersion = "admission.k8s.io/v1"
	reviewKind    = "AdmissionReview"
	// MaxReview is the most bytes of a review: the API server's own limit of an object is 3 MiB, and an update carries two.
	MaxReview = 8 << 20
	// maxWarning is the most bytes of a warning (admission.k8s.io/v1, AdmissionResponse.warnings): a longer one may be cut by the API server.
	maxWarning  = 256
	maxWarnings = 16
	maxWord     = 1024 // bytes of a name: a DNS subdomain has 253, a user's name what the cluster's issuer gives
)

type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID       string    `json:"uid"`
	Kind      GroupKind `json:"kind"`
	Name      string    `json:"name"`
	Namespace string    `json:"namespace"`
	Operation string    `json:"operation"`
	UserInfo  struct {
		Username string `json:"username"`
	} `json:"userInfo"`
	Object    json.RawMessage `json:"object"`
	OldObject json.RawMessage `json:"oldObject"`
	DryRun    bool            `json:"dryRun"`
}

type response struct {
	UID              string            `json:"uid"`
	Allowed          bool              `json:"allowed"`
	Status           *status           `json:"status,omitempty"`
	Patch            []byte            `json:"patch,omitempty"`
	PatchType        string            `json:"patchType,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
	Warnings         []string          `json:"warnings,omitempty"`
}

type status struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// ErrMalformed is a request that is no question of its protocol: it deserves the status 400, and the cluster's failure policy decides.
var ErrMalformed = errors.New("not a review")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// Validate answers an admission review: whether the images that an object adds may run. Errors: ErrMalformed.
func Validate(ctx context.Context, j Judge, mode Mode, body []byte) ([]byte, error) {
	return answerReview(body, func(q *request) *response {
		r := &response{UID: q.UID, Allowed: true}
		places, err := addedPlaces(q)
		if err != nil {
			r.settle(mode, err.Error(), nil)
			return r
		}
		var refusals []string
		audit := map[string]string{}
		for _, p := range places {
			a := Ask(ctx, j, q.question(p, "k8s.validating"))
			r.warn(a.Warnings...)
			if a.Decision != "" {
				audit[fmt.Sprintf("%s.%s.decision", p.Kind, label(p.Container))] = a.Decision
			}
			if !a.Allowed {
				refusals = append(refusals, fmt.Sprintf("%s %s: %s", p.Kind, p.Container, a.Message))
			} else if a.Outcome == Unknown && a.Message != "" {
				r.warn(fmt.Sprintf("%s %s: %s", p.Kind, p.Container, a.Message))
			}
		}
		if len(audit) > 0 {
			r.AuditAnnotations = audit
		}
		if len(refusals) > 0 {
			r.settle(mode, strings.Join(refusals, "; "), audit)
		}
		return r
	})
}

// settle refuses with a sentence, or lets pass with it, by the mode.
func (r *response) settle(mode Mode, message string, audit map[string]string) {
	switch mode {
	case Warn:
		r.warn(message)
	case Audit:
	default:
		r.Allowed = false
		r.Status = &status{Code: 403, Reason: "Forbidden", Message: cut(message, 4096)}
		return
	}
	if audit == nil {
		audit = map[string]string{}
	}
	audit["refused"] = cut(message, 1024)
	r.AuditAnnotations = audit
}

func (r *response) warn(messages ...string) {
	for _, m := range messages {
		if m != "" && len(r.Warnings) < maxWarnings {
			r.Warnings = append(r.Warnings, cut(m, maxWarning))
		}
	}
}

// Mutate answers an admission review with a patch (RFC 6902) that pins each image to the digest that a pull gets now, so that what was judged is what runs. Only
// pods are pinned: a template that is rewritten would differ for ever from where it came from. It refuses nothing: validation does. Errors: ErrMalformed.
func Mutate(ctx context.Context, j Judge, body []byte) ([]byte, error) {
	return answerReview(body, func(q *request) *response {
		r := &response{UID: q.UID, Allowed: true}
		if q.Kind != (GroupKind{Kind: "Pod"}) {
			return r
		}
		places, err := addedPlaces(q)
		if err != nil {
			return r // validation says so
		}
		type operation struct {
			Op    string `json:"op"`
			Path  string `json:"path"`
			Value string `json:"value"`
		}
		var patch []operation
		for _, p := range places {
			a := Ask(ctx, j, q.question(p, "k8s.mutating"))
			if a.Allowed && a.Pinned != "" && a.Pinned != p.Image {
				// The test keeps the patch from an object that another webhook changed meanwhile.
				patch = append(patch, operation{"test", p.Pointer, p.Image}, operation{"replace", p.Pointer, a.Pinned})
			}
		}
		if len(patch) > 0 {
			if b, err := json.Marshal(patch); err == nil {
				r.Patch, r.PatchType = b, "JSONPatch"
			}
		}
		return r
	})
}

func (q *request) question(p Place, protocol string) Question {
	return Question{Image: p.Image, Protocol: protocol, DryRun: q.DryRun, Operation: q.Operation, Kind: q.Kind.Kind, Namespace: q.Namespace, Name: q.Name,
		User: q.UserInfo.Username, Container: p.Container, ContainerKind: p.Kind}
}

// addedPlaces are the images that the request would have run. What is deleted, or on its way out, runs nothing new: its finalizers must be able to leave.
func addedPlaces(q *request) ([]Place, error) {
	if q.Operation != "CREATE" && q.Operation != "UPDATE" {
		return nil, nil
	}
	now, err := Places(q.Kind, q.Object)
	if err != nil || q.Operation == "CREATE" || len(q.OldObject) == 0 || string(q.OldObject) == "null" {
		return now, err
	}
	var meta struct {
		Metadata struct {
			DeletionTimestamp string `json:"deletionTimestamp"`
		} `json:"metadata"`
	}
	if json.Unmarshal(q.OldObject, &meta) == nil && meta.Metadata.DeletionTimestamp != "" {
		return nil, nil
	}
	before, err := Places(q.Kind, q.OldObject)
	if err != nil {
		return now, nil // judged whole
	}
	return added(now, before), nil
}

// Ask asks, and makes a refusal of no answer: of an error, and of time that is over before or meanwhile.
func Ask(ctx context.Context, j Judge, q Question) *Answer {
	if err := ctx.Err(); err == nil {
		a, err := j.Judge(ctx, q)
		if err == nil && a != nil {
			return a
		}
	}
	return &Answer{Outcome: Refused, Image: q.Image, Code: "policy.no_answer", Message: fmt.Sprintf("the image %.200s could not be judged in time, which refuses it; try again", q.Image)}
}

func answerReview(body []byte, answer func(*request) *response) ([]byte, error) {
	if len(body) > MaxReview {
		return nil, malformed("the review has more than %d MiB", MaxReview>>20)
	}
	var in review
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, malformed("the body is not JSON of that form")
	}
	switch {
	case in.APIVersion != reviewVersion || in.Kind != reviewKind:
		return nil, malformed("it is %.60q %.60q, and %s %s is understood", in.APIVersion, in.Kind, reviewVersion, reviewKind)
	case in.Request == nil || in.Request.UID == "":
		return nil, malformed("it has no request with a uid")
	}
	if err := words(in.Request.UID, in.Request.Kind.Group, in.Request.Kind.Kind, in.Request.Namespace, in.Request.Name, in.Request.Operation, in.Request.UserInfo.Username); err != nil {
		return nil, err
	}
	return json.Marshal(review{APIVersion: reviewVersion, Kind: reviewKind, Response: answer(in.Request)})
}

// words refuses a review whose names are longer than any that a cluster has: they are kept, logged and told to policies, and whoever reaches the port can write them.
func words(names ...string) error {
	for _, n := range names {
		if len(n) > maxWord {
			return malformed("%.60q is longer than any name, %d bytes", n, maxWord)
		}
	}
	return nil
}

// label makes a name fit for a key of an annotation.
func label(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, cut(s, 40))
}

// cut keeps s within n bytes, at a character's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n - len("...")
	for end > 0 && s[end]&0xc0 == 0x80 {
		end--
	}
	return s[:end] + "..."
}
