package kubernetes

import (
	"fmt"
	"regexp"
	"strings"
)

// maxLabels is how many labels a path names.
const maxLabels = 16

var (
	labelName   = regexp.MustCompile(`^[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	labelPrefix = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// ParseLabels reads the end of a webhook's path, which says what the namespaces have in common that ask there: any number of label/NAME/VALUE and prefixed/PREFIX/NAME/VALUE. A review
// tells nothing of the namespace but its name; the webhook's namespaceSelector chose who asks at this path, so that what the selector demands is known to hold. The words are such that a
// path of the API server can have them: its segments are DNS subdomains (k8s.io/apiserver, ValidateWebhookService), without '='.
// An error is a sentence.
func ParseLabels(path string) (map[string]string, error) {
	labels := map[string]string{}
	for words := strings.Split(path, "/"); len(words) > 0; {
		n, key := 3, ""
		switch {
		case words[0] == "label" && len(words) >= 3:
			key = words[1]
		case words[0] == "prefixed" && len(words) >= 4:
			n, key = 4, words[1]+"/"+words[2]
			if len(words[1]) > 253 || !labelPrefix.MatchString(words[1]) {
				return nil, fmt.Errorf("%.80q is no prefix of a label", words[1])
			}
		default:
			return nil, fmt.Errorf("the labels of namespaces are written as label/NAME/VALUE or prefixed/PREFIX/NAME/VALUE")
		}
		name, value := words[n-2], words[n-1]
		if _, twice := labels[key]; twice || !labelName.MatchString(name) || !labelName.MatchString(value) {
			return nil, fmt.Errorf("the label %.80q with the value %.80q is malformed, or stands there twice", key, value)
		}
		if labels[key] = value; len(labels) > maxLabels {
			return nil, fmt.Errorf("a path names at most %d labels", maxLabels)
		}
		words = words[n:]
	}
	return labels, nil
}
