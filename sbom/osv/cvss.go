package osv

import (
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"
)

// maxVector is the most bytes of a CVSS vector.
const maxVector = 512

// score computes the score of a vector: the base score up to version 3.1, the overall one of version 4. Version 2 has no class above high. A vector that is none has no score.
func score(vector string) (value float64, class Severity, version int) {
	if len(vector) > maxVector {
		return 0, Unknown, 0
	}
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		if v, err := gocvss40.ParseVector(vector); err == nil {
			return v.Score(), classOf(v.Score()), 40
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		if v, err := gocvss31.ParseVector(vector); err == nil {
			return v.BaseScore(), classOf(v.BaseScore()), 31
		}
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		if v, err := gocvss30.ParseVector(vector); err == nil {
			return v.BaseScore(), classOf(v.BaseScore()), 30
		}
	case strings.HasPrefix(strings.Trim(vector, "()"), "AV:"):
		if v, err := gocvss20.ParseVector(strings.Trim(vector, "()")); err == nil {
			return v.BaseScore(), min(classOf(v.BaseScore()), High), 20
		}
	}
	return 0, Unknown, 0
}

// classOf rates a score (CVSS 3.1 and 4.0, "Qualitative Severity Rating Scale").
func classOf(score float64) Severity {
	switch {
	case score >= 9:
		return Critical
	case score >= 7:
		return High
	case score >= 4:
		return Medium
	case score > 0:
		return Low
	}
	return Negligible
}

// classNamed reads the words that databases use for severities; what is none of them is Unknown.
func classNamed(word string) Severity {
	switch strings.ToLower(strings.Trim(word, " *")) { // Debian marks with '*' what it presumes
	case "critical":
		return Critical
	case "high", "important":
		return High
	case "medium", "moderate":
		return Medium
	case "low":
		return Low
	case "negligible", "unimportant", "none", "minor", "informational":
		return Negligible
	}
	return Unknown
}
