package main_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

var webhooksAt = regexp.MustCompile(`(?m)^webhooks on (https://\S+)$`)

// cmdWebhook is "webhook CA PATH FILE": it asks the script's registry as a cluster does that trusts the certificates in the file CA. The answer goes to stdout, a
// patch in it on a second line as what it is. It succeeds if the status says so.
func cmdWebhook(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: webhook CA PATH FILE")
	}
	log, err := os.ReadFile(filepath.Join(serverOf(ts).work, "server.log"))
	ts.Check(err)
	at := webhooksAt.FindAllSubmatch(log, -1)
	if at == nil {
		ts.Fatalf("the server has no webhooks:\n%s", log)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile(args[0])))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	res, err := client.Post(string(at[len(at)-1][1])+args[1], "application/json", bytes.NewReader([]byte(ts.ReadFile(args[2]))))
	ts.Check(err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", answer)
	var review struct {
		Response struct{ Patch []byte } `json:"response"`
	}
	if json.Unmarshal(answer, &review) == nil {
		fmt.Fprintf(ts.Stdout(), "%s\n", review.Response.Patch)
	}
	if neg == (res.StatusCode == http.StatusOK) {
		ts.Fatalf("%s: %s\n%s", args[1], res.Status, answer)
	}
}
