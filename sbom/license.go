package sbom

import "strings"

// Identifiers lists the licences of an SPDX expression (SPDX 2.3, annex D), each once: whatever is no operator and no exception. Text that is no
// expression is one licence, by its name.
func Identifiers(expression string) []string {
	words := expressionWords(expression)
	var out []string
	depth, operand := 0, false // operand: the word before ended one
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case w == "(" && !operand:
			depth++
		case w == ")" && operand && depth > 0:
			depth--
		case (w == "AND" || w == "OR") && operand:
			operand = false
		case w == "WITH" && operand && i+1 < len(words) && identifier(words[i+1]):
			i++
		case !operand && identifier(w):
			operand = true
			if !contains(out, w) && !silent(w) {
				out = append(out, w)
			}
		default:
			return whole(expression)
		}
	}
	if depth != 0 || !operand {
		return whole(expression)
	}
	return out
}

func whole(name string) []string {
	if silent(name) {
		return nil
	}
	return []string{name}
}

func expressionWords(s string) []string {
	if strings.ContainsAny(s, "()") {
		s = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s)
	}
	return strings.Fields(s)
}

// identifier reports whether w is an "idstring", with a document's name before it or a plus after it.
func identifier(w string) bool {
	if w == "AND" || w == "OR" || w == "WITH" || w == "" {
		return false
	}
	for i := range len(w) {
		if c := w[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '+' && c != ':' && c != '_' {
			return false
		}
	}
	return true
}

func silent(license string) bool {
	return license == "" || license == "NOASSERTION" || license == "NONE"
}

// named splits an expression where all of its parts hold (a list says the same), and puts the names of licences in the place of references to the
// document's own list. Within a larger part, where only an identifier can stand, a name with spaces stands as "LicenseRef-" and its letters.
func named(expression string, licenses map[string]string) []string {
	if silent(expression) {
		return nil
	}
	if identifier(expression) {
		if name := licenses[expression]; !silent(name) {
			return []string{name}
		}
		return []string{expression}
	}
	words := expressionWords(expression)
	parts := conjuncts(words)
	out := make([]string, 0, len(parts))
	for _, part := range parts {
		for i, w := range part {
			name := licenses[w]
			switch {
			case silent(name):
			case len(part) == 1 || identifier(name):
				part[i] = name
			default:
				part[i] = "LicenseRef-" + strings.Map(idRune, name)
			}
		}
		text := strings.Join(part, " ")
		out = append(out, strings.ReplaceAll(strings.ReplaceAll(text, "( ", "("), " )", ")"))
	}
	return out
}

func idRune(r rune) rune {
	if r < 0x80 && identifier(string(r)) {
		return r
	}
	return '-'
}

// conjuncts splits at each AND outside of parentheses, unless there is an OR outside, which binds less.
func conjuncts(words []string) [][]string {
	var parts [][]string
	depth, start := 0, 0
	for i, w := range words {
		switch {
		case w == "(":
			depth++
		case w == ")":
			depth--
		case w == "OR" && depth == 0:
			return [][]string{words}
		case w == "AND" && depth == 0:
			parts = append(parts, words[start:i])
			start = i + 1
		}
	}
	return append(parts, words[start:])
}
