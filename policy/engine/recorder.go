package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/facts"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/triage"
	"github.com/assay-registry/assay/store"
)

// recorder turns the interpreter's events into steps, merging as they come, so that its size follows from the policy's text and not from what it runs over.
// It implements topdown.QueryTracer and is used by one goroutine.
type recorder struct {
	input   ast.Value
	root    *step
	frames  map[uint64]*frame // of the queries that were entered
	text    func(file string) string
	lines   map[string][]string
	events  int
	cancel  topdown.Cancel
	stopped atomic.Bool // too much happened
}

// frame is one query: of a rule, of the body of a comprehension, or the outermost.
type frame struct {
	at      *step
	current *step // the expression under evaluation
}

var _ topdown.QueryTracer = (*recorder)(nil)

func (r *recorder) Enabled() bool { return !r.stopped.Load() }

func (r *recorder) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

// TraceEvent implements topdown.QueryTracer.
func (r *recorder) TraceEvent(e topdown.Event) {
	if r.events++; r.events > maxTraceEvents {
		r.stopped.Store(true)
		r.cancel.Cancel()
		return
	}
	switch e.Op {
	case topdown.EnterOp:
		r.enter(e)
	case topdown.EvalOp:
		r.eval(e)
	case topdown.FailOp:
		r.fail(e)
	case topdown.ExitOp:
		r.exit(e)
	}
}

func (r *recorder) enter(e topdown.Event) {
	parent := r.frames[e.ParentID]
	if parent == nil { // the query itself
		r.frames[e.QueryID] = &frame{at: r.root}
		return
	}
	above := parent.current
	if above == nil {
		above = parent.at
	}
	c := above.child(fmt.Sprintf("%T %s", e.Node, e.Location))
	if c.tried == 0 {
		c.kind, c.location, c.text = contract.TraceBody, place(e.Location), "for each"
		body, _ := e.Node.(ast.Body)
		if rule, ok := e.Node.(*ast.Rule); ok {
			_, output, _ := classify(rule)
			c.kind, c.text, c.output, body = contract.TraceRule, ruleLabel(rule), output != "", rule.Body
		}
		c.of = rows(body)
	}
	c.tried++
	r.frames[e.QueryID] = &frame{at: c}
}

// rows are how many lines a body has expressions on: what the compiler made of one line is one step.
func rows(body ast.Body) int {
	seen := map[int]bool{}
	for _, e := range body {
		if e.Location != nil {
			seen[e.Location.Row] = true
		}
	}
	return len(seen)
}

// line is the key of an expression among its body's.
func line(l *ast.Location) string { return "=" + place(l) }

func ruleLabel(r *ast.Rule) string {
	name := strings.TrimPrefix(strings.TrimPrefix(r.Ref().GroundPrefix().String(), "data."), root+".")
	if len(r.Head.Args) > 0 {
		args := make([]string, len(r.Head.Args))
		for i, a := range r.Head.Args {
			args[i] = a.String()
			if strings.HasPrefix(args[i], "__local") {
				args[i] = "_"
			}
		}
		name += "(" + strings.Join(args, ", ") + ")"
	}
	return sentence.Clean(name, maxTraceText)
}

func (r *recorder) eval(e topdown.Event) {
	expr, ok := e.Node.(*ast.Expr)
	f := r.frames[e.QueryID]
	if !ok || f == nil {
		return
	}
	if f.at == r.root { // "deny = data.assay.admit.deny": of our own making
		return
	}
	c := f.at.child(line(e.Location))
	if c.tried == 0 {
		c.kind, c.location, c.text = contract.TraceExpression, place(e.Location), r.source(e.Location, expr)
		c.place = len(f.at.order)
	}
	if f.current != c {
		f.settle()
		c.tried++
	}
	f.current = c
}

// settle notes that the expression under evaluation, if there is one, held: what comes after it is reached.
func (f *frame) settle() {
	if c := f.current; c != nil && c.held < c.tried {
		c.held++
	}
}

func (r *recorder) fail(e topdown.Event) {
	expr, ok := e.Node.(*ast.Expr)
	f := r.frames[e.QueryID]
	if !ok || f == nil || f.at == r.root {
		return
	}
	c := f.at.children[line(e.Location)]
	if c == nil {
		return
	}
	if f.at.furthest == nil || c.place > f.at.reached {
		f.at.furthest, f.at.reached = c, c.place
		if c.held == 0 {
			c.value, c.evidence = "", nil
			value, evidence := r.values(expr, e)
			c.note(value, evidence)
		}
	}
	f.current = nil
}

func (r *recorder) exit(e topdown.Event) {
	f := r.frames[e.QueryID]
	if f == nil || f.at == r.root {
		return
	}
	f.settle()
	f.current = nil
	first := f.at.held == 0
	if f.at.held < f.at.tried {
		f.at.held++
	}
	if !first {
		return
	}
	var body ast.Body
	switch n := e.Node.(type) {
	case *ast.Rule:
		body = n.Body
		result := n.Head.Value
		if n.Head.Key != nil && (n.Head.Value == nil || n.Head.RuleKind() == ast.MultiValue) {
			result = n.Head.Key
		}
		if result != nil {
			plugged := e.Plug(result)
			f.at.value, f.at.evidence = shown(plugged.Value), r.sources(plugged)
		}
	case ast.Body:
		body = n
	}
	for _, expr := range body {
		if c := f.at.children[line(expr.Location)]; c != nil && c.held > 0 {
			value, evidence := r.values(expr, e)
			c.note(value, evidence)
		}
	}
}

// note adds what one part of a line's expression says.
func (s *step) note(value string, evidence []store.Digest) {
	switch {
	case s.value == "":
		s.value = value
	case value != "" && !strings.Contains(s.value, value):
		s.value = sentence.Clean(s.value+", "+value, 2*maxTraceValue)
	}
	for _, d := range evidence {
		if !slices.Contains(s.evidence, d) && len(s.evidence) < maxEvidence {
			s.evidence = append(s.evidence, d)
		}
	}
}

// The conditions of a fact that counts, in the order in which a built-in asks for them.
const (
	factVerified = "verified == true"
	factTyped    = "predicate_type is wanted"
	factAccepted = "authority is accepted"
	factWanted   = "what it says is wanted"
)

func factConditions() []string { return []string{factVerified, factTyped, factAccepted, factWanted} }

// fact notes what a built-in found of one fact of the input: under the expression that called it, one step for each way to miss.
func (r *recorder) fact(query uint64, f facts.Fact, code string) {
	frame := r.frames[query]
	if frame == nil {
		return
	}
	above := frame.current
	if above == nil {
		above = frame.at
	}
	condition := factWanted
	switch {
	case !f.Verified():
		condition = factVerified
	case code == "attestation.predicate_type" || code == "other":
		condition = factTyped
	case strings.HasSuffix(code, ".untrusted"):
		condition = factAccepted
	}
	of := above.child("fact " + code)
	if of.tried == 0 {
		of.kind, of.location, of.text, of.of = contract.TraceBody, above.location, "a fact", len(factConditions())
	}
	of.tried++
	if code == "" {
		of.held++
		of.note("", r.sources(f.Term()))
		return
	}
	c := of.child(condition)
	c.kind, c.location, c.text, c.place = contract.TraceExpression, above.location, condition, slices.Index(factConditions(), condition)
	c.tried++
	c.note(fmt.Sprintf("code = %q, authority = %q", code, sentence.Clean(terms.TextIn(f, keyOfAuthority), maxCode)), r.sources(f.Term()))
	of.furthest, of.reached = c, c.place
}

// The names of what is told of a fact or a finding.
var (
	keyOfAuthority  = ast.StringTerm("authority")
	keyOfID         = ast.StringTerm("id")
	keyOfStatements = ast.StringTerm("statements")
)

// findingLabel is what a finding is that went there.
func findingLabel(where triage.Group) string {
	switch where {
	case triage.Excused:
		return "a finding that is excused"
	case triage.New:
		return "a finding that is new"
	}
	return "a finding that is left"
}

// finding notes where a built-in put a finding: under the expression that called it, one step for each of the places.
func (r *recorder) finding(query uint64, f ast.Object, where triage.Group) {
	frame := r.frames[query]
	if frame == nil {
		return
	}
	above := frame.current
	if above == nil {
		above = frame.at
	}
	label := findingLabel(where)
	of := above.child(label)
	if of.tried == 0 {
		of.kind, of.location, of.text = contract.TraceBody, above.location, label
	}
	if of.tried++; where != triage.Left {
		of.held++
	}
	said := fmt.Sprintf("id = %q", sentence.Clean(terms.TextIn(f, keyOfID), maxCode))
	if t := f.Get(keyOfStatements); t != nil {
		said += ", statements = " + shown(t.Value)
	}
	of.note(said, r.sources(ast.NewTerm(f)))
}

// source is the line that an expression begins on, as its author wrote it.
func (r *recorder) source(l *ast.Location, otherwise fmt.Stringer) string {
	text := ""
	if l != nil {
		if r.lines[l.File] == nil {
			r.lines[l.File] = strings.Split(r.text(l.File), "\n")
		}
		if lines := r.lines[l.File]; l.Row > 0 && l.Row <= len(lines) {
			text = strings.TrimSpace(lines[l.Row-1])
		}
	}
	if text == "" {
		text = otherwise.String()
	}
	return sentence.Clean(text, maxTraceText)
}

// values are those of an expression's variables and of what it reads of the input, and the evidence that they come from.
func (r *recorder) values(expr *ast.Expr, e topdown.Event) (string, []store.Digest) {
	var parts []string
	var evidence []store.Digest
	seen := map[string]bool{}
	add := func(name string, v ast.Value, from *ast.Term) {
		if !seen[name] && len(parts) < 8 && !strings.HasPrefix(name, "__local") {
			seen[name] = true
			parts = append(parts, name+" = "+shown(v))
		}
		for _, d := range r.sources(from) {
			if !slices.Contains(evidence, d) && len(evidence) < maxEvidence {
				evidence = append(evidence, d)
			}
		}
	}
	name := func(v ast.Var) string {
		if m, ok := e.LocalMetadata[v]; ok {
			return string(m.Name)
		}
		return string(v)
	}
	ast.WalkTerms(expr, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Ref:
			head, ok := v[0].Value.(ast.Var)
			if !ok || head.Equal(ast.DefaultRootDocument.Value.(ast.Var)) {
				return true
			}
			from, label := e.Plug(v[0]), name(head)
			value := from.Value
			if head.Equal(ast.InputRootDocument.Value) {
				value = r.input
			}
			if _, unbound := value.(ast.Var); unbound {
				return false
			}
			for _, k := range v[1:] {
				key := e.Plug(k)
				if _, unbound := key.Value.(ast.Var); unbound {
					break // the part that is asked about is told
				}
				found, err := value.Find(ast.Ref{key})
				if err != nil {
					add(label+"."+strings.Trim(key.String(), `"`), ast.String("(absent)"), from)
					return true
				}
				value, label = found, label+"."+strings.Trim(key.String(), `"`)
			}
			add(label, value, from)
			return true
		case ast.Var:
			from := e.Plug(t)
			if _, unbound := from.Value.(ast.Var); !unbound && !v.IsGenerated() && !strings.HasPrefix(name(v), "__local") {
				add(name(v), from.Value, from)
			}
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			return true // told below
		}
		return false
	})
	return sentence.Clean(strings.Join(parts, ", "), 2*maxTraceValue), evidence
}

// sources are the digests of evidence in a fact.
func (r *recorder) sources(t *ast.Term) []store.Digest {
	if t == nil {
		return nil
	}
	object, ok := t.Value.(ast.Object)
	if !ok {
		return nil
	}
	var terms []*ast.Term
	if e := object.Get(ast.StringTerm("evidence")); e != nil {
		terms = append(terms, e)
		if list, ok := e.Value.(*ast.Array); ok {
			terms = terms[:0]
			list.Foreach(func(t *ast.Term) { terms = append(terms, t) })
		}
	}
	var list []store.Digest
	for _, t := range terms[:min(len(terms), maxEvidence)] {
		s, _ := t.Value.(ast.String)
		if d, err := store.ParseDigest(string(s)); err == nil {
			list = append(list, d)
		}
	}
	return list
}

// shown is a value for a person, cut where it is long.
func shown(v ast.Value) string {
	if o, ok := v.(ast.Object); ok && o.Len() > 4 {
		for _, key := range []string{"code", "evidence", "digest", "name"} {
			if m := o.Get(ast.StringTerm(key)); m != nil {
				return sentence.Clean(fmt.Sprintf("{%s: %s, ...}", key, m), maxTraceValue)
			}
		}
	}
	return sentence.Clean(v.String(), maxTraceValue)
}
