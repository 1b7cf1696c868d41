package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document parses the one YAML document in text into what c points to, and notes every problem.
func (b *Binder) Document(text []byte, c any) {
	if len(text) > MaxFile {
		b.Problems = append(b.Problems, Problem{Message: fmt.Sprintf("is larger than %s", Size(MaxFile))})
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return // empty, or comments only: the defaults
	} else if err != nil {
		b.Problems = append(b.Problems, syntax(err))
		return
	}
	if len(doc.Content) == 1 && doc.Content[0].Tag != "!!null" {
		b.structure(doc.Content[0], reflect.ValueOf(c).Elem(), "")
	}
	if err := decoder.Decode(&second); err == nil {
		b.fail(&second, "", "keep one", "there is a second document in the file")
	} else if !errors.Is(err, io.EOF) {
		b.Problems = append(b.Problems, syntax(err))
	}
}

// yamlLine finds the place in the YAML library's message.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func syntax(err error) Problem {
	p := Problem{Message: "is not YAML: " + err.Error()}
	if m := yamlLine.FindStringSubmatch(strings.SplitN(err.Error(), "\n", 2)[0]); m != nil {
		p.Message = "is not YAML: " + m[2]
		p.Line, _ = strconv.Atoi(m[1])
	}
	return p
}

// MaxFile is the most bytes of a configuration, and of each key file.
const MaxFile = 1 << 20
