package contract

import (
	"context"
	"fmt"
	"time"

	"github.com/assay-registry/assay/store"
)

// Tracer is an engine that can say how it came to a decision.
type Tracer interface {
	// Trace evaluates as Decide does, at the input's own time, and returns the way besides. It takes longer, within the same limits of size.
	Trace(ctx context.Context, in *Input) (*Decision, []TraceNode, error)
}

// The kinds of nodes of a trace, from the top down.
const (
	TracePolicy     = "policy"
	TraceRule       = "rule"
	TraceBody       = "body" // of a comprehension or of every
	TraceExpression = "expression"
)

// TraceNode is one step: a policy, a rule of it, an expression of that, and what it called. A rule that was asked many times is one node: what it tells of is the
// attempt that succeeded or, if none did, the one that came furthest.
type TraceNode struct {
	Kind     string         `json:"kind"`
	Text     string         `json:"text"`               // the policy's name, the rule's, the expression
	Location string         `json:"location,omitempty"` // file:line
	Holds    bool           `json:"holds"`              // a rule has a value, an expression is true; of a policy: it denies nothing
	Value    string         `json:"value,omitempty"`    // of a rule its result, of an expression that of its variables
	Tried    int            `json:"tried,omitempty"`    // how often, if more than once
	Held     int            `json:"held,omitempty"`     // how often of those it held
	Evidence []store.Digest `json:"evidence,omitempty"` // that the values come from
	Nearest  []TraceMiss    `json:"nearest,omitempty"`  // of a policy: what failed last in the attempts that came furthest, the nearest first
	Children []TraceNode    `json:"children,omitempty"`
	More     int            `json:"more,omitempty"` // children that are left out
}

// TraceMiss is where an attempt failed.
type TraceMiss struct {
	Rule       string         `json:"rule"`
	Expression string         `json:"expression"`
	Location   string         `json:"location,omitempty"`
	Value      string         `json:"value,omitempty"`
	Evidence   []store.Digest `json:"evidence,omitempty"`
	Step       int            `json:"step"` // the expression's place among
	Steps      int            `json:"steps"`
}

func (n *TraceNode) lines(lines []string, indent string) []string {
	mark := "-"
	if n.Holds {
		mark = "+"
	}
	line := indent + mark + " " + n.Text
	if n.Kind == TraceExpression && n.Value != "" {
		line += "  [" + n.Value + "]"
	} else if n.Value != "" {
		line += " = " + n.Value
	}
	if n.Tried > 1 {
		line += fmt.Sprintf("  (%d of %d)", n.Held, n.Tried)
	}
	if n.Location != "" && n.Kind != TraceExpression {
		line += "  " + n.Location
	}
	lines = append(lines, line)
	if n.Kind == TraceExpression {
		for _, e := range n.Evidence {
			lines = append(lines, indent+"    evidence "+string(e))
		}
	}
	for i := range n.Children {
		lines = n.Children[i].lines(lines, indent+"  ")
	}
	if n.More > 0 {
		lines = append(lines, fmt.Sprintf("%s  ... and %d more", indent, n.More))
	}
	return lines
}

// Trace is how a decision came about, found by evaluating what was asked once more, at the time when it was asked.
type Trace struct {
	ID         string       `json:"decision_id"`
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	At         time.Time    `json:"at"` // of the decision; the clock stands there
	Entry      Entry        `json:"entry"`
	Allow      bool         `json:"allow"` // now found
	// Reproduced says that the same reasons came out. SamePolicies is false where the policies in force are others than those that decided.
	Reproduced   bool        `json:"reproduced"`
	SamePolicies bool        `json:"same_policies"`
	Policies     []TraceNode `json:"policies"`
}

// Lines renders a trace for people: what nearly happened first, then the tree, whose marks are explained above it.
func (t *Trace) Lines() []string {
	outcome := "denied"
	if t.Allow {
		outcome = "allowed"
	}
	lines := []string{fmt.Sprintf("%s@%s, %s at %s: %s", t.Repository, t.Digest, t.Entry, t.At.UTC().Format(time.RFC3339), outcome)}
	if !t.Reproduced {
		lines = append(lines, "It was decided otherwise then.")
	}
	if !t.SamePolicies {
		lines = append(lines, "The policies in force are not those that decided.")
	}
	for _, p := range t.Policies {
		for i, m := range p.Nearest {
			if i == 0 {
				lines = append(lines, "", "Conditions of "+p.Text+" that did not hold, the nearest miss first:")
			}
			lines = append(lines, fmt.Sprintf("  %d. %s, condition %d of %d: %s  (%s)", i+1, m.Rule, m.Step, m.Steps, m.Expression, m.Location))
			if m.Value != "" {
				lines = append(lines, "     "+m.Value)
			}
			for _, e := range m.Evidence {
				lines = append(lines, "     evidence "+string(e))
			}
		}
	}
	lines = append(lines, "", "All that was asked: + holds, - does not, and below each line what it was made of. A policy holds where none of its deny rules does.")
	for _, p := range t.Policies {
		lines = p.lines(lines, "")
	}
	return lines
}
