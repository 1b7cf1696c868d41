// Package rehearse compiles policies in a process of its own before a server does: what ends that one, or never ends, is refused and ends nothing else.
package rehearse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
)

const (
	perPolicy  = 10 * time.Second // for one policy, of which the dearest that is shipped takes a fiftieth
	maxRefused = 4096             // bytes of what a child complains
	maxPassed  = 4096             // policies that are remembered
)

var errLate = errors.New("it takes too long")

// Stage tries policies, each text with its parameters once. It is safe for concurrent use.
type Stage struct {
	path string        // of this program
	each time.Duration // for one policy

	alone  chan struct{} // has a token while a child runs: there is one at a time
	turn   sync.Mutex
	passed map[[sha256.Size]byte]bool
}

// New makes a stage that starts the program at path with the command of [Command]. It is nil for "", and tries nothing then.
func New(path string) *Stage {
	if path == "" {
		return nil
	}
	return &Stage{path: path, each: perPolicy, alone: make(chan struct{}, 1), passed: map[[sha256.Size]byte]bool{}}
}

// script is what is said to the child about one policy.
type script struct {
	Source map[string]string `json:"source"`
	Params map[string]any    `json:"params,omitempty"`
}

// Rehearse is an [engine.Rehearsal]. Shipped policies, and those that have come to an end before, are not tried. It ends with the first that does not come to an end, which is the one problem.
func (s *Stage) Rehearse(ctx context.Context, list []engine.Policy) ([]engine.Problem, error) {
	if s == nil {
		return nil, nil
	}
	var texts bytes.Buffer
	var names []string
	var sums [][sha256.Size]byte
	for _, p := range list {
		if engine.Shipped(p) {
			continue
		}
		text, err := json.Marshal(script{p.Source, p.Params})
		if err != nil {
			return []engine.Problem{{Policy: p.Name, Message: "its parameters are no JSON: " + err.Error()}}, nil
		}
		if sum := sha256.Sum256(text); !s.knows(sum) {
			texts.Write(append(text, '\n'))
			names, sums = append(names, p.Name), append(sums, sum)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	n, refusal, err := s.play(ctx, &texts, len(names))
	s.learn(sums[:n])
	if err != nil || n == len(names) {
		return nil, err
	}
	return []engine.Problem{{Policy: names[n], Message: refusal}}, nil
}

func (s *Stage) knows(sum [sha256.Size]byte) bool {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.passed[sum]
}

func (s *Stage) learn(sums [][sha256.Size]byte) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if len(s.passed)+len(sums) > maxPassed {
		clear(s.passed)
	}
	for _, sum := range sums {
		s.passed[sum] = true
	}
}

// play has a child go through so many policies. It says how many came to an end, and why the next one did not; err is for what is not the policy's fault.
func (s *Stage) play(ctx context.Context, texts io.Reader, count int) (passed int, refusal string, err error) {
	select {
	case s.alone <- struct{}{}:
		defer func() { <-s.alone }()
	case <-ctx.Done():
		return 0, "", context.Cause(ctx)
	}
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	said := &progress{each: s.each, late: time.AfterFunc(s.each, func() { cancel(errLate) })}
	defer said.late.Stop()
	cmd := exec.CommandContext(own, s.path, commandName)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin, cmd.Stdout, cmd.WaitDelay = texts, said, time.Second
	complaint := &head{}
	cmd.Stderr = complaint
	err = cmd.Run()
	passed = min(said.passed, count)
	why := complaint.first()
	if why == "" && err != nil {
		why = err.Error()
	}
	switch {
	case ctx.Err() != nil:
		return passed, "", context.Cause(ctx)
	case context.Cause(own) == errLate:
		return passed, fmt.Sprintf("OPA's compiler does not come to an end on it within %v; do not compare values that hold others many times over: compare those", s.each), nil
	case err == nil && passed == count:
		return count, "", nil
	case err == nil || cmd.ProcessState == nil || cmd.ProcessState.ExitCode() == cli.ExitError || strings.HasPrefix(why, "assay: "):
		return 0, "", store.Errorf(store.CodeUnavailable, "policies could not be tried in a process of their own, and are not compiled without (%s); see whether the machine lets this program start another", why)
	}
	if !strings.Contains(why, "stack overflow") {
		return passed, fmt.Sprintf("compiling it takes more memory than %d MiB, or ends the compiler (%s); make it smaller, and do not compare values that hold others many times over", maxMemory>>20, why), nil
	}
	return passed, fmt.Sprintf("OPA's compiler ends the process on it (%s); a rule that is at times an object, at times another that holds it, and at times no object does so: make each of them a rule of its own", why), nil
}

// progress counts what the child has done, a line each, and gives it as long again for the next.
type progress struct {
	passed int
	each   time.Duration
	late   *time.Timer
}

func (p *progress) Write(b []byte) (int, error) {
	if n := bytes.Count(b, []byte("\n")); n > 0 {
		p.passed += n
		p.late.Reset(p.each)
	}
	return len(b), nil
}

// head keeps the first of what is written.
type head struct{ bytes.Buffer }

func (h *head) Write(b []byte) (int, error) {
	h.Buffer.Write(b[:min(len(b), maxRefused-h.Len())])
	return len(b), nil
}

// first is the line that says why a program ended, else the first one.
func (h *head) first() string {
	line, _, _ := strings.Cut(h.String(), "\n")
	for l := range strings.Lines(h.String()) {
		if strings.HasPrefix(l, "fatal error: ") || strings.HasPrefix(l, "panic: ") || strings.HasPrefix(l, "assay: ") {
			return cli.Printable(strings.TrimSpace(l))
		}
	}
	return cli.Printable(line)
}
