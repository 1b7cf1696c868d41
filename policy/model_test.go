package policy_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// The model: what semantics.md says about current and visible tags, signatures, revocations, trust and restarts, in fifty lines.

const (
	modelImages  = 3
	modelTags    = 2
	modelClients = 4
	modelPhases  = 3  // with a restart between
	modelOps     = 10 // of each client in each phase: the checker is exponential in the worst case
)

type modelState struct {
	current, visible [modelTags]int // image + 1; 0: none
	signed, revoked  [modelImages]bool
	distrusted       bool // the key that signed
}

type modelInput struct {
	op         string
	tag, image int
}

func (s modelState) admitted(i int) bool {
	return i > 0 && s.signed[i-1] && !s.revoked[i-1] && !s.distrusted
}

func (s modelState) advance() modelState {
	for t := range modelTags {
		if s.admitted(s.current[t]) {
			s.visible[t] = s.current[t]
		}
	}
	return s
}

func modelStep(state, input, output any) (bool, any) {
	s, in, out := state.(modelState), input.(modelInput), output.(string)
	switch in.op {
	case "push":
		if s.revoked[in.image] {
			return out == denied, s
		}
		s.current[in.tag] = in.image + 1
		return out == "ok", s.advance()
	case "sign":
		s.signed[in.image] = true
		return out == "ok", s.advance()
	case "unsign":
		if !s.signed[in.image] {
			return out == unknown, s
		}
		s.signed[in.image] = false
		return out == "ok", s
	case "revoke", "lift":
		s.revoked[in.image] = in.op == "revoke"
		return out == "ok", s.advance()
	case "distrust":
		s.distrusted = true
		return out == "ok", s
	case "trust":
		if !s.distrusted {
			return out == notFound, s
		}
		s.distrusted = false
		return out == "ok", s.advance()
	case "untag":
		if s.current[in.tag] == 0 {
			return out == unknown, s
		}
		s.current[in.tag], s.visible[in.tag] = 0, 0
		return out == "ok", s
	case "head":
		c := s.current[in.tag]
		if c == 0 || s.revoked[c-1] {
			return out == unknown, s
		}
		return out == strconv.Itoa(c-1), s
	}
	return out == s.pull(in.tag), s
}

func (s modelState) pull(tag int) string {
	switch v := s.visible[tag]; {
	case s.current[tag] == 0:
		return unknown
	case s.admitted(v):
		return strconv.Itoa(v - 1)
	}
	return denied
}

// TestLinearizability runs random histories against the gate and asks whether some order of the operations explains every answer.
// There are 2,000 operations, 60,000 in the long run, or as many as ASSAY_MODEL_OPS says.
func TestLinearizability(t *testing.T) {
	total := 2000
	if os.Getenv("ASSAY_TEST_LONG") != "" {
		total = 60_000
	}
	if s := os.Getenv("ASSAY_MODEL_OPS"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	model := porcupine.Model{Init: func() any { return modelState{} }, Step: modelStep}
	perHistory := modelClients * modelPhases * modelOps
	for done, seed := 0, uint64(1); done < total; done, seed = done+perHistory, seed+1 {
		history := runHistory(t, seed)
		if !porcupine.CheckOperations(model, history) {
			if policy.Planted != 0 {
				t.Logf("the planted bug %d was found after %d operations", policy.Planted, done+perHistory)
				return
			}
			t.Fatalf("no order of these operations explains the answers (seed %d):\n%s", seed, describe(history))
		}
	}
	if policy.Planted != 0 {
		t.Fatalf("the planted bug %d was not found in %d operations", policy.Planted, total)
	}
}

func describe(history []porcupine.Operation) string {
	var b strings.Builder
	for _, o := range history {
		fmt.Fprintf(&b, "client %d  [%d, %d]  %+v -> %v\n", o.ClientId, o.Call, o.Return, o.Input, o.Output)
	}
	return b.String()
}

// runner is one history under way.
type runner struct {
	*kit
	images []image
	ticks  atomic.Int64
	mu     sync.Mutex
	widen  sync.RWMutex          // a widening comes into effect as manifests are looked at again: the model has it at one moment, so nothing else happens meanwhile
	lifts  [modelImages][]string // ids of revocations
	ops    []porcupine.Operation
}

func runHistory(t *testing.T, seed uint64) []porcupine.Operation {
	t.Helper()
	r := &runner{kit: newKit(t)}
	for i := range modelImages {
		r.images = append(r.images, r.push(pusher, app, "", strconv.Itoa(i)))
	}
	for phase := range modelPhases {
		if phase > 0 {
			r.start()
		}
		var wg sync.WaitGroup
		for c := range modelClients {
			rng := rand.New(rand.NewPCG(seed, uint64(phase*modelClients+c)))
			wg.Go(func() {
				for range modelOps {
					r.one(c, rng)
				}
			})
		}
		wg.Wait()
	}
	return r.ops
}

func (r *runner) one(client int, rng *rand.Rand) {
	kinds := []string{"push", "push", "sign", "sign", "unsign", "revoke", "lift", "distrust", "trust", "trust", "untag", "head", "pull", "pull", "pull", "pull"}
	in := modelInput{kinds[rng.IntN(len(kinds))], rng.IntN(modelTags), rng.IntN(modelImages)}
	if in.op == "lift" || in.op == "revoke" {
		r.mu.Lock() // one change of revocations at a time: the model has a flag where the gate has records
		defer r.mu.Unlock()
	}
	lock, unlock := r.widen.RLock, r.widen.RUnlock
	if in.op == "trust" {
		lock, unlock = r.widen.Lock, r.widen.Unlock
	}
	lock()
	call := r.ticks.Add(1)
	out := r.do(in)
	unlock()
	ret := r.ticks.Add(1)
	if in.op != "lift" && in.op != "revoke" {
		r.mu.Lock()
		defer r.mu.Unlock()
	}
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: ret})
}

// trust is what the test's key loses and gets back.
func (k *kit) trust() trust.Distrust {
	return trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: k.key.public.ID}
}

const notFound = string(store.CodeNotFound)

func (r *runner) do(in modelInput) string {
	d := r.images[in.image].desc.Digest
	tag := "t" + strconv.Itoa(in.tag)
	switch in.op {
	case "push":
		_, err := r.put(pusher, app, tag, ocispec.MediaTypeImageManifest, r.images[in.image].bytes)
		return outcome(err)
	case "sign":
		r.sign(signer, app, d, r.key)
		return "ok"
	case "unsign":
		return outcome(r.as(admin).DeleteManifest(r.ctx, app, store.Reference{Tag: referrers.TagOf(d, referrers.SuffixSig).String()}))
	case "distrust":
		_, err := r.a.RevokeTrust(r.ctx, admin, r.trust())
		return outcome(err)
	case "trust":
		err := r.a.RestoreTrust(r.ctx, admin, r.trust())
		if err == nil {
			err = r.a.Catchup(r.ctx)
		}
		return outcome(err)
	case "revoke":
		v, err := r.a.Revoke(r.ctx, admin, trust.Revocation{Digest: d, Reason: "test"})
		if err == nil {
			r.lifts[in.image] = append(r.lifts[in.image], v.ID)
		}
		return outcome(err)
	case "lift":
		for _, id := range r.lifts[in.image] {
			if err := r.a.Lift(r.ctx, admin, id); err != nil && policy.Planted == 0 {
				return outcome(err)
			}
		}
		r.lifts[in.image] = nil
		return "ok"
	case "untag":
		return outcome(r.as(admin).DeleteManifest(r.ctx, app, store.Reference{Tag: tag}))
	case "head":
		return r.index(r.head(pusher, app, tag))
	}
	return r.index(r.get(puller, app, tag))
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return string(store.CodeOf(err))
}

// index turns a digest into the image's number; anything else stays.
func (r *runner) index(answer string) string {
	for i, image := range r.images {
		if answer == string(image.desc.Digest) {
			return strconv.Itoa(i)
		}
	}
	return answer
}
