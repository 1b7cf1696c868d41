package engine

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// kind is what an expression of a generated policy yields, mostly.
type kind int

const (
	aNumber kind = iota
	aText
	aBool
	anArray
	aSet
	anObject
	anything
	kinds
)

// generated is a policy on its way: what may be referred to, and its text. There is no recursion, since a rule refers only to what stands before it; nearly every text compiles.
type generated struct {
	seed      uint64
	rng       *rand.Rand
	out       strings.Builder
	rules     []named
	functions []named
	vars      []named // in scope
	names     int
	depth     int
	single    bool // no reference may yield several values
}

// named is a rule, a function or a variable.
type named struct {
	name string
	kind kind
	args []kind
}

// generatePolicy writes a policy of the package assay with a rule "deny" for each entry point.
func generatePolicy(seed uint64) string {
	g := &generated{seed: seed, rng: rand.New(rand.NewPCG(seed, seed))}
	g.out.WriteString("package assay\n\nimport future.keywords.and\nimport future.keywords.or\n")
	if seed%2 == 0 {
		g.out.WriteString("import future.keywords.not\n") // then each negation is planned another way
	}
	g.out.WriteString("\n")
	for range 2 + g.n(6) {
		g.helper()
	}
	for _, e := range entryNames() {
		g.entryRule(string(e) + ".deny")
	}
	return g.out.String()
}

func (g *generated) n(n int) int { return g.rng.IntN(n) }

func (g *generated) one(list ...string) string { return list[g.n(len(list))] }

func (g *generated) kind() kind { return kind(g.n(int(kinds))) }

func (g *generated) fresh(prefix string) string {
	g.names++
	return fmt.Sprintf("%s%d", prefix, g.names)
}

func (g *generated) line(format string, args ...any) { fmt.Fprintf(&g.out, format+"\n", args...) }

// fill puts the parts of a form where it has a "#": each a number of a kind, "n t b a s o ?" for the kinds in their order.
func (g *generated) fill(form string) string {
	var b strings.Builder
	for i := 0; i < len(form); i++ {
		if form[i] == '#' && i+1 < len(form) {
			i++
			if k := strings.IndexByte("ntbaso?", form[i]); k >= 0 {
				b.WriteString(g.expr(kind(k)))
				continue
			}
			b.WriteByte('#')
		}
		b.WriteByte(form[i])
	}
	return b.String()
}

// literals of each kind: numbers that are equal and written otherwise, texts that look alike.
var literals = [kinds][]string{
	aNumber:  {"0", "1", "2", "3", "-1", "1.0", "2.0", "0.5", "10", "1e1", "100", "-0", "12345678901234567890", "9223372036854775807", "0.1", "1e400"},
	aText:    {`""`, `"a"`, `"b"`, `"x"`, `"1"`, `"abc"`, `"A"`, `"é"`, `"e\u0301"`, `"%d"`, `"a.b"`, `"v1.2.3"`, `"a/b"`, `"\u0000"`, "`a\\b`", `"2026-11-21T12:00:00Z"`, `"MIT OR GPL-2.0-only"`, `"pkg:npm/a@1.0"`, `"*"`, `"path"`, `"true"`, `"[1]"`, `"{\"a\": 1.0}"`},
	aBool:    {"true", "false"},
	anArray:  {"[]", "[1]", "[1, 2, 3]", `["a", "b"]`, "[[1], [2]]", "[1.0, 1]", `[null, false]`, `[{"a": 1}]`},
	aSet:     {"set()", "{1}", "{1, 2, 3}", `{"a", "b"}`, "{1.0}", "{[1], {2}}", `{{"a": 1}}`},
	anObject: {"{}", `{"a": 1}`, `{"a": 1, "b": 2}`, `{"x": {"y": 1}}`, `{1: "a"}`, `{[1]: 2}`, `{"a": [1, 2]}`, `{true: null}`},
	anything: {"null", "1", `"a"`, "true", "false", "[1]", "{1}", `{"a": 1}`},
}

// inputs of each kind; what is written here need not be there, nor be what it seems.
var inputs = [kinds][]string{
	aNumber:  {"input.n", "input.one", "input.big", "input.list[0]", "input.list[1]", "input.o.a", "input.missing", "input.neg", "input.list[1.0]", "input.list[-1]", "input.list[9]"},
	aText:    {"input.s", "input.t", "input.o.s", "input.names[0]", "input.missing.x", "input.json"},
	aBool:    {"input.yes", "input.no", "input.missing"},
	anArray:  {"input.list", "input.names", "input.mixed", "input.empty", "input.deep", "input.missing"},
	aSet:     {"{x | some x in input.list}", "{x | some x in input.mixed}"},
	anObject: {"input.o", "input.empty_o", "input.deep[0]", "input.missing", "input"},
	anything: {"input.n", "input.s", "input.z", "input.mixed[2]", "input.mixed[_]", "input.o[_]", "input.no", "input.deep[_].a", "input.deep[_].b[_]"},
}

// phrases are expressions of each kind.
var phrases = [kinds][]string{
	aNumber: {"(#n + #n)", "(#n - #n)", "(#n * #n)", "(#n / #n)", "(#n % #n)", "count(#a)", "count(#s)", "count(#o)", "count(#t)", "sum(#a)", "max([#n, #n])", "min({#n})", "abs(#n)", "ceil(#n)", "floor(#n)", "round(#n)",
		"product([#n, #n])", "to_number(#t)", "indexof(#t, #t)", "strings.count(#t, #t)", "time.now_ns()", "semver.compare(#t, #t)", "units.parse(#t)", "time.parse_rfc3339_ns(#t)", "object.get(#o, #t, #n)"},
	aText: {`sprintf("%v %v", [#?, #?])`, `sprintf("%s-%d", [#t, #n])`, `sprintf("%d", [#n])`, "concat(#t, #a)", "concat(#t, #s)", "lower(#t)", "upper(#t)", "replace(#t, #t, #t)", "substring(#t, #n, #n)", "trim(#t, #t)", "trim_space(#t)",
		"json.marshal(#?)", "type_name(#?)", "format_int(#n, 10)", "base64.encode(#t)", "strings.reverse(#t)", `$"{#?} and {#t}"`, "trim_prefix(#t, #t)", "time.format(#n)", "crypto.sha256(#t)", "regex.replace(#t, #t, #t)",
		"strings.replace_n(#o, #t)", "concat(\",\", split(#t, #t))"},
	aBool: {"(#n < #n)", "(#n <= #n)", "(#n == #n)", "(#n != #n)", "(#? == #?)", "(#? != #?)", "(#? > #?)", "(#t == #t)", "(#? in #a)", "(#? in #s)", "(#? in #o)", "(#t, #? in #o)", "(#n, #? in #a)", "startswith(#t, #t)", "endswith(#t, #t)", "contains(#t, #t)",
		"is_array(#?)", "is_object(#?)", "is_set(#?)", "is_string(#?)", "is_number(#?)", "is_boolean(#?)", "is_null(#?)", "regex.match(#t, #t)", "glob.match(#t, [\".\"], #t)", "json.is_valid(#t)", "semver.is_valid(#t)",
		"object.subset(#o, #o)", "strings.any_prefix_match(#t, #a)", "base64.is_valid(#t)"},
	anArray: {"[#?, #?]", "[#n, #n, #n]", "[#?]", "array.concat(#a, #a)", "array.slice(#a, #n, #n)", "array.reverse(#a)", "sort(#a)", "sort(#s)", "split(#t, #t)", "numbers.range(#n, 3)", "indexof_n(#t, #t)", "regex.find_n(#t, #t, -1)",
		"time.date(#n)", "array.flatten(#a)", "numbers.range_step(0, 9, 3)"},
	aSet:     {"{#?}", "({#?} | {#?})", "({#n} | {#n})", "(#s | #s)", "(#s & #s)", "(#s - #s)", "object.keys(#o)", "union({#s})", "intersection({#s})"},
	anObject: {`{"a": #?, "b": #?}`, `object.union({#t: #?}, {#t: #?})`, `{#?: #?}`, "object.union(#o, #o)", "object.remove(#o, #a)", "object.filter(#o, #s)", "json.filter(#o, [\"a\"])", "json.remove(#o, [\"a/b\"])", "object.union_n([#o, #o])"},
	anything: {"assay.moment(#t).value", "assay.until(#?, #n).value", "assay.version.compare(#t, #t, #t).value", "assay.vers.includes(#t, #t).value", "assay.licence.category(#t).value", "assay.licence.parse(#t)",
		"assay.licence.judge(#?, #o).value", "assay.purl.parse(#t).value", "assay.matching(#a).value", "assay.signatures(input.facts, #o).value", "assay.attestations(input.facts, #o)", "assay.signers(#?).value",
		"assay.signers(input.facts).value", "assay.provenance(#?).error", "assay.newest(input.facts).value", "assay.made(#?).value", "assay.globs(#?, #?, #t).value", "assay.globs(#a, #t, \"path\").value", "assay.referrers(#o, #o).value",
		"assay.tag_history(input.facts, #o).error", "assay.moment(#t)",
		"json.unmarshal(#t)", "object.get(#o, #t, #?)", "object.get(#o, [#t, #t], #?)", "object.get(#o, #a, #?)"},
}

// expr is an expression of a kind.
func (g *generated) expr(k kind) string {
	g.depth++
	defer func() { g.depth-- }()
	if g.n(12) == 0 {
		k = anything
	}
	choice := g.n(10)
	switch {
	case choice < 4 || g.depth > 3:
		if v, ok := g.pick(g.vars, k); ok && g.n(3) > 0 {
			return v.name
		}
		if g.n(2) == 0 {
			if in := g.one(inputs[k]...); !g.single || !strings.Contains(in, "_]") {
				return in
			}
		}
		return g.one(literals[k]...)
	case choice < 6:
		if r, ok := g.pick(g.rules, k); ok {
			return r.name
		}
	case choice < 7:
		if f, ok := g.pick(g.functions, k); ok {
			return g.call(f)
		}
	case choice < 8 && g.depth < 3:
		return g.comprehension(k)
	case choice < 9:
		return g.member()
	}
	return g.fill(g.one(phrases[k]...))
}

// pick is something of a kind, or, at times, of any.
func (g *generated) pick(list []named, k kind) (named, bool) {
	if len(list) == 0 {
		return named{}, false
	}
	for range 4 {
		if c := list[g.n(len(list))]; c.kind == k || k == anything {
			return c, true
		}
	}
	return named{}, false
}

func (g *generated) call(f named) string {
	args := make([]string, len(f.args))
	for i, k := range f.args {
		args[i] = g.expr(k)
	}
	return f.name + "(" + strings.Join(args, ", ") + ")"
}

// member is a reference into a rule, a variable or the input.
func (g *generated) member() string {
	from := "input"
	if v, ok := g.pick(g.vars, anything); ok && g.n(2) == 0 {
		from = v.name
	} else if r, ok := g.pick(g.rules, anything); ok && g.n(4) > 0 {
		from = r.name
	}
	key := func() string {
		if v, ok := g.pick(g.vars, anything); ok && g.n(2) == 0 {
			return v.name
		}
		if g.n(6) == 0 && !g.single {
			return "_"
		}
		return g.one(`"a"`, `"o"`, `"s"`, `"list"`, "0", "1", "1.0", "-1", "input.s", "input.n", `"b"`, "[1]", "{1}", "null", "input.missing")
	}
	from += "[" + key() + "]"
	if g.n(3) == 0 {
		from += "[" + key() + "]"
	}
	return from
}

// within has what f writes, with the variables that it introduces in scope and nowhere else.
func (g *generated) within(f func() string) string {
	known := len(g.vars)
	text := f()
	g.vars = g.vars[:known]
	return text
}

// ground has what f writes without references that yield several values, which a negated expression may not have.
func (g *generated) ground(f func() string) string {
	before := g.single
	g.single = true
	defer func() { g.single = before }()
	return f()
}

func (g *generated) comprehension(k kind) string {
	return g.within(func() string {
		body := g.body(1 + g.n(2))
		switch k {
		case anArray:
			return "[" + g.expr(g.kind()) + " | " + body + "]"
		case aSet:
			return "{" + g.expr(g.kind()) + " | " + body + "}"
		case anObject:
			return "{" + g.expr(aText) + ": " + g.expr(g.kind()) + " | " + body + "}"
		case aNumber:
			return "count([" + g.expr(anything) + " | " + body + "])"
		case aText:
			return `concat(",", [` + g.expr(aText) + " | " + body + "])"
		}
		return "[" + g.expr(anything) + " | " + body + "]"
	})
}

// body is statements in one line.
func (g *generated) body(n int) string { return g.bodyFrom(len(g.vars), n) }

// bodyFrom uses the variables from a number on, too.
func (g *generated) bodyFrom(known, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = g.statement()
	}
	text := strings.Join(list, "; ")
	for _, v := range g.vars[known:] { // one that is not used does not compile
		if len(regexp.MustCompile(`\b`+v.name+`\b`).FindAllStringIndex(text, 2)) < 2 {
			text += "; " + fmt.Sprintf(g.one(`%s != 77`, `type_name(%s) != "q"`, `[%s] != []`, `not %s == 78`), v.name)
		}
	}
	return text
}

// variable brings a new one into scope, once what follows is written.
func (g *generated) variable(k kind, format string, args ...any) string {
	name := g.fresh("v")
	g.vars = append(g.vars, named{name: name, kind: k})
	return strings.ReplaceAll(fmt.Sprintf(format, args...), "@", name)
}

func (g *generated) collection() string {
	return g.expr([]kind{anArray, aSet, anObject, anArray}[g.n(4)])
}

// alone is an expression that stands for itself, which is no comprehension: a policy with one is not planned.
func (g *generated) alone(k kind) string {
	for range 4 {
		if e := g.expr(k); !strings.ContainsAny(e[:1], "[{") {
			return e
		}
	}
	return "true"
}

// open is an expression of which the compiler does not know what it yields: what does not fit a pattern does not compile.
func (g *generated) open(k kind) string {
	if g.n(2) == 0 {
		return g.member()
	}
	return g.one(inputs[k]...)
}

func (g *generated) statement() string {
	g.depth++
	defer func() { g.depth-- }()
	choice := g.n(24)
	if g.depth > 3 && choice >= 16 {
		choice -= 10
	}
	switch choice {
	case 0, 1, 2:
		k := g.kind()
		return g.variable(k, "@ := %s", g.expr(k))
	case 3, 4, 5:
		return g.variable(anything, "some @ in %s", g.collection())
	case 6:
		c := g.collection()
		return g.variable(anything, "some %s, @ in %s", g.variable(anything, "@"), c)
	case 7:
		c := g.collection()
		from := g.variable(anything, "@ := %s", c)
		name := g.vars[len(g.vars)-1].name
		key := g.variable(anything, "some @; ")
		return from + "; " + key + g.variable(anything, "@ := %s[%s]", name, g.vars[len(g.vars)-1].name)
	case 8, 9:
		return g.alone(aBool)
	case 10, 11:
		if g.n(4) == 0 {
			return g.alone(g.kind())
		}
		return g.fill(g.one("#? == #?", "#n < #n", "#? in #a", "#? != #?", "#n > 1", "true", "#n = #n"))
	case 12:
		e := g.open(anArray)
		return g.variable(anything, "[@, %s] %s %s", g.variable(anything, "@"), g.one("=", ":="), e)
	case 13:
		e := g.open(anObject)
		return g.variable(anything, `{"a": @, "b": %s} = %s`, g.one("_", "2", `"x"`), e)
	case 14:
		e := g.open(anything)
		return g.variable(anything, "[[@, 1], _] = [%s, %s]", e, g.expr(anything))
	case 15:
		return g.ground(func() string { return "not (" + g.alone(g.kind()) + ")" })
	case 16, 17:
		if g.seed%2 == 1 {
			return "true"
		}
		return "not {" + g.within(func() string { return g.body(1 + g.n(3)) }) + "}"
	case 18, 19:
		c := g.collection()
		return g.within(func() string {
			known := len(g.vars)
			if g.n(2) == 0 {
				return g.variable(anything, "every @ in %s", c) + " { " + g.bodyFrom(known, 1+g.n(2)) + " }"
			}
			return g.variable(anything, "every %s, @ in %s", g.variable(anything, "@"), c) + " { " + g.bodyFrom(known, 1+g.n(2)) + " }"
		})
	case 20, 21:
		op := g.one("or", "and")
		return "{ true; " + g.within(func() string { return g.body(1 + g.n(2)) }) + " } " + op + " { true; " + g.within(func() string { return g.body(1 + g.n(2)) }) + " }"
	case 22:
		return g.ground(func() string {
			return "not " + g.fill(g.one("(#? in #a)", "#n < #n", "is_string(#?)", "startswith(#t, #t)"))
		})
	}
	return g.variable(anything, "@ = %s", g.expr(anything))
}

// block is a body of a rule.
func (g *generated) block(n int) string { return "{ " + g.body(n) + " }" }

// helper writes one rule or function that others may refer to.
func (g *generated) helper() {
	k := g.kind()
	switch g.n(8) {
	case 0, 1:
		g.complete(g.fresh("r"), k)
	case 2, 3:
		g.function(k)
	case 4:
		name := g.fresh("s")
		for range 1 + g.n(3) {
			g.within(func() string {
				body := g.block(1 + g.n(3))
				g.line("%s contains %s if %s\n", name, g.expr(g.kind()), body)
				return ""
			})
		}
		g.rules = append(g.rules, named{name: name, kind: aSet})
	case 5, 6:
		g.object()
	default:
		name := g.fresh("p") + "." + g.one("a", "b")
		g.complete(name, k)
	}
}

// complete writes a rule of one value: constants, bodies, chains of "else", a default.
func (g *generated) complete(name string, k kind) {
	if g.n(3) == 0 {
		g.line("default %s := %s\n", name, g.one(literals[k]...))
	}
	for range 1 + g.n(2) {
		if g.n(6) == 0 {
			g.line("%s := %s\n", name, g.within(func() string { return g.expr(k) }))
			continue
		}
		g.chain(name, k)
	}
	g.rules = append(g.rules, named{name: name, kind: k})
}

func (g *generated) chain(head string, k kind) {
	text := g.within(func() string {
		body := g.block(1 + g.n(3))
		return head + " := " + g.expr(k) + " if " + body
	})
	for range g.n(3) {
		text += g.within(func() string {
			body := g.block(1 + g.n(2))
			if g.n(5) == 0 {
				return ""
			}
			return " else := " + g.expr(k) + " if " + body
		})
	}
	g.line("%s\n", text)
}

func (g *generated) function(k kind) {
	f := named{name: g.fresh("f"), kind: k}
	for range 1 + g.n(2) {
		f.args = append(f.args, g.kind())
	}
	if g.n(4) == 0 {
		g.line("default %s(%s) := %s\n", f.name, strings.Join([]string{"_", "_"}[:len(f.args)], ", "), g.one(literals[k]...))
	}
	for range 1 + g.n(3) {
		g.within(func() string {
			args := make([]string, len(f.args))
			for i, kind := range f.args {
				switch g.n(6) {
				case 0:
					args[i] = g.one(literals[kind]...)
				case 1:
					args[i] = g.variable(anything, "[@, %s]", g.one("_", "1"))
				default:
					args[i] = g.variable(kind, "@")
				}
			}
			g.chain(f.name+"("+strings.Join(args, ", ")+")", k)
			return ""
		})
	}
	g.functions = append(g.functions, f)
}

// object writes a rule of many members, with some that are written out beside it.
func (g *generated) object() {
	name := g.fresh("o")
	for range 1 + g.n(3) {
		g.within(func() string {
			body := g.block(1 + g.n(2))
			switch g.n(6) {
			case 0:
				g.line("%s.%s := %s if %s\n", name, g.one("a", "b"), g.expr(g.kind()), body)
			case 1:
				g.line("%s.%s := %s\n", name, g.one("a", "b", "c"), g.one(literals[anything]...))
			default:
				key := g.fresh("k")
				g.line("%s[%s] := %s if { %s; %s := %s }\n", name, key, g.expr(g.kind()), body[2:len(body)-2], key, g.expr([]kind{aText, aText, aNumber, anything}[g.n(4)]))
			}
			return ""
		})
	}
	g.rules = append(g.rules, named{name: name, kind: anObject})
}

// entryRule writes what is asked for.
func (g *generated) entryRule(name string) {
	if g.n(3) == 0 {
		g.complete(name, g.kind())
		g.rules = g.rules[:len(g.rules)-1]
		return
	}
	for range 1 + g.n(3) {
		g.within(func() string {
			body := g.block(1 + g.n(4))
			g.line("%s contains %s if %s\n", name, g.expr(g.kind()), body)
			return ""
		})
	}
}
