package osv

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assay-registry/assay/store"
)

// Limits of one record. What is more is an error: a record that is cut would leave versions out.
const (
	MaxRecord = 32 << 20 // bytes of its JSON

	maxID       = 128
	maxIDs      = 8192 // aliases, upstream and related, each
	maxAffected = 50_000
	maxRanges   = 4096 // of one package
	maxEvents   = 65_536
	maxVersions = 200_000
	maxText     = 1024 // of a version, a name, an ecosystem, a URL
	maxSummary  = 300
)

// ParseAdvisory reads a record of OSV's schema (1.0 to 1.7): what matching needs of it. It is strict about JSON (store.StrictJSON) and lenient about fields that it does not
// know. Errors: CodeInvalid.
func ParseAdvisory(b []byte) (*Advisory, error) {
	if len(b) > MaxRecord {
		return nil, store.Errorf(store.CodeInvalid, "the record has %d bytes; at most %d are read", len(b), MaxRecord)
	}
	var r record
	if err := store.DecodeJSON(b, &r); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the record is not one of OSV's schema: %w", err)
	}
	if !ValidID(r.ID) {
		return nil, store.Errorf(store.CodeInvalid, "the record has no id, or one that is not 1 to %d visible characters", maxID)
	}
	a := &Advisory{ID: r.ID, Summary: Legible(r.Summary, maxSummary)}
	for _, list := range []struct {
		from []string
		to   *[]string
		what string
	}{{r.Aliases, &a.Aliases, "aliases"}, {r.Upstream, &a.Upstream, "upstream"}, {r.Related, &a.Related, "related"}} {
		if len(list.from) > maxIDs {
			return nil, store.Errorf(store.CodeInvalid, "%s has %d %s; at most %d are read", r.ID, len(list.from), list.what, maxIDs)
		}
		for _, id := range list.from {
			if ValidID(id) && id != r.ID {
				*list.to = append(*list.to, id)
			}
		}
	}
	a.Published, a.Modified, a.Withdrawn = Instant(r.Published), Instant(r.Modified), Instant(r.Withdrawn)
	if r.Withdrawn != "" && a.Withdrawn.IsZero() {
		return nil, store.Errorf(store.CodeInvalid, "%s is withdrawn at a time that is none (RFC 3339)", r.ID)
	}
	a.URL = r.url()
	a.Severity, a.Score, a.Vector = r.rated()
	return a, r.affected(a)
}

// record is OSV's schema, as far as it counts.
type record struct {
	ID         string     `json:"id"`
	Aliases    []string   `json:"aliases"`
	Upstream   []string   `json:"upstream"`
	Related    []string   `json:"related"`
	Summary    string     `json:"summary"`
	Published  string     `json:"published"`
	Modified   string     `json:"modified"`
	Withdrawn  string     `json:"withdrawn"`
	Severity   []rating   `json:"severity"`
	Affected   []affected `json:"affected"`
	References []link     `json:"references"`
	Specific   words      `json:"database_specific"`
}

type rating struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type link struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
		PURL      string `json:"purl"`
	} `json:"package"`
	Severity  []rating     `json:"severity"`
	Ranges    []eventRange `json:"ranges"`
	Versions  []string     `json:"versions"`
	Ecosystem words        `json:"ecosystem_specific"`
	Database  words        `json:"database_specific"`
}

type eventRange struct {
	Type   string              `json:"type"`
	Events []map[string]string `json:"events"`
}

// words are those members of a free object that are text; anything else in it means nothing here.
type words struct{ severity, urgency string }

// UnmarshalJSON never fails: the objects are each database's own.
func (w *words) UnmarshalJSON(b []byte) error {
	_ = store.Members(b, func(key string, value []byte) error { // what is no object has no members
		if len(value) < 2 || len(value) > 64 || value[0] != '"' {
			return nil
		}
		switch text := string(value[1 : len(value)-1]); key {
		case "severity":
			w.severity = text
		case "urgency":
			w.urgency = text
		}
		return nil
	})
	return nil
}

// rated is the severity of the whole record. Distributions rate for their own builds, so their word comes before a vector.
func (r *record) rated() (Severity, float64, string) {
	class, value, vector := rate(r.Severity)
	switch {
	case class != Unknown:
	case strings.HasPrefix(r.ID, "MAL-"):
		class = Critical // a malicious package, whatever its version does (ossf/malicious-packages)
	default:
		if class = classNamed(r.Specific.severity); class == Unknown {
			class = announced(r.ID, r.Summary)
		}
	}
	return class, value, vector
}

// rate reads severities (OSV schema, "severity[]"): the newest version of CVSS counts, except where a distribution gives a class.
func rate(list []rating) (class Severity, value float64, vector string) {
	newest, given := 0, Unknown
	for _, s := range list {
		if s.Type == "Ubuntu" {
			given = max(given, classNamed(s.Score))
			continue
		}
		if v, c, version := score(s.Score); version > newest {
			newest, class, value, vector = version, c, v, s.Score
		}
	}
	if given != Unknown {
		class = given
	}
	return class, value, vector
}

// announced reads the class that makers of RPM distributions put in front of their summaries.
func announced(id, summary string) Severity {
	for _, prefix := range [...]string{"RHSA-", "ALSA-", "RLSA-", "ELSA-"} {
		if word, _, ok := strings.Cut(summary, ":"); ok && strings.HasPrefix(id, prefix) {
			return classNamed(word)
		}
	}
	return Unknown
}

func (r *record) url() string {
	best := ""
	for _, l := range r.References {
		if len(l.URL) > maxText || !strings.HasPrefix(l.URL, "https://") && !strings.HasPrefix(l.URL, "http://") || strings.ContainsFunc(l.URL, Misleads) {
			continue
		}
		if l.Type == "ADVISORY" {
			return l.URL
		}
		if best == "" {
			best = l.URL
		}
	}
	return best
}

func (r *record) affected(a *Advisory) error {
	if len(r.Affected) > maxAffected {
		return store.Errorf(store.CodeInvalid, "%s names %d packages; at most %d are read", r.ID, len(r.Affected), maxAffected)
	}
	for i := range r.Affected {
		from := &r.Affected[i]
		p := from.Package
		if len(p.Name) > maxText || len(p.Ecosystem) > maxText || len(p.PURL) > 2*maxText {
			return store.Errorf(store.CodeInvalid, "%s names a package in more than %d characters", r.ID, maxText)
		}
		if len(from.Ranges) > maxRanges || len(from.Versions) > maxVersions {
			return store.Errorf(store.CodeInvalid, "%s has %d ranges and %d versions of %.100q; at most %d and %d are read", r.ID, len(from.Ranges), len(from.Versions), p.Name, maxRanges, maxVersions)
		}
		to := AffectedPackage{Ecosystem: p.Ecosystem, Name: p.Name, PURL: p.PURL, Versions: from.Versions}
		if to.Severity, _, _ = rate(from.Severity); to.Severity == Unknown {
			for _, word := range [...]string{from.Ecosystem.urgency, from.Ecosystem.severity, from.Database.severity} {
				if to.Severity = classNamed(word); to.Severity != Unknown {
					break
				}
			}
		}
		for _, v := range from.Versions {
			if len(v) > maxText {
				return store.Errorf(store.CodeInvalid, "%s has a version of more than %d characters", r.ID, maxText)
			}
		}
		if err := from.ranges(r.ID, &to); err != nil {
			return err
		}
		a.Affected = append(a.Affected, to)
	}
	return nil
}

func (from *affected) ranges(id string, to *AffectedPackage) error {
	for _, r := range from.Ranges {
		if r.Type == "GIT" {
			continue
		}
		if len(r.Events) > maxEvents {
			return store.Errorf(store.CodeInvalid, "%s has a range of %d events; at most %d are read", id, len(r.Events), maxEvents)
		}
		out := Range{Type: r.Type}
		for _, e := range r.Events {
			for _, kind := range [...]string{"introduced", "fixed", "last_affected", "limit"} {
				version, ok := e[kind]
				if !ok {
					continue
				}
				if len(version) > maxText {
					return store.Errorf(store.CodeInvalid, "%s has a version of more than %d characters", id, maxText)
				}
				out.Events = append(out.Events, Event{kind, version})
			}
		}
		to.Ranges = append(to.Ranges, out)
	}
	return nil
}

// ValidID reports whether s can be the id of a record: visible ASCII characters.
func ValidID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Instant is a time in RFC 3339, or zero.
func Instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

// Legible makes text one line of at most max bytes without characters that mislead.
func Legible(s string, max int) string {
	if strings.ContainsFunc(s, Misleads) || !utf8.ValidString(s) {
		s = strings.Map(func(r rune) rune {
			if Misleads(r) {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(s, "\uFFFD"))
	}
	if len(s) > max {
		s = strings.ToValidUTF8(s[:max-3], "") + "…"
	}
	return s
}

// Misleads reports control characters and those that turn the direction of text around.
func Misleads(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x2028 || r == 0x2029
}
