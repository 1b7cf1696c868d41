package engine

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/bounded"
)

// allowed names the built-ins that policies may call. It is an allow-list, so that a built-in that a later OPA brings is refused until somebody
// judged it. What is missing and why: http.send, net.*, json.match_schema and json.verify_schema reach the network; opa.runtime the environment;
// rand.* and uuid.rfc4122 are not reproducible; io.jwt.* and crypto.x509.* judge signatures and certificates, which is verify's work, some by the
// machine's clock; bits.*, graph.reachable_paths, strings.render_template and yaml.* have no bound on what one call may cost; trace writes.
const allowed = `
	assign eq equal neq lt lte gt gte plus minus mul div rem abs ceil floor round
	and or union intersection internal.member_2 internal.member_3 internal.print print internal.template_string internal.test_case
	count sum product max min sort type_name is_array is_boolean is_null is_number is_object is_set is_string to_number format_int
	numbers.range numbers.range_step array.concat array.flatten array.reverse array.slice
	object.filter object.get object.keys object.remove object.subset object.union object.union_n json.filter json.remove
	json.marshal json.unmarshal json.is_valid base64.decode base64.encode base64.is_valid base64url.decode base64url.encode hex.decode hex.encode
	concat contains endswith indexof indexof_n lower replace split sprintf startswith substring upper
	trim trim_left trim_prefix trim_right trim_space trim_suffix
	strings.any_prefix_match strings.any_suffix_match strings.count strings.replace_n strings.reverse
	regex.find_all_string_submatch_n regex.find_n regex.is_valid regex.match regex.replace regex.split
	glob.match glob.quote_meta semver.compare semver.is_valid units.parse units.parse_bytes walk crypto.sha256 crypto.sha1
	time.add_date time.clock time.date time.diff time.format time.now_ns time.parse_duration_ns time.parse_ns time.parse_rfc3339_ns time.weekday
	rego.metadata.chain rego.metadata.rule`

// clock is the only built-in whose answer depends on when it is asked. It is pinned to the decision's time.
const clock = "time.now_ns"

// capabilities is what the compiler knows: the allowed built-ins, the bounded ones under their own names, and no network for remote schemas.
func capabilities() *ast.Capabilities {
	names := map[string]bool{}
	for _, name := range strings.Fields(allowed) {
		names[name] = true
	}
	c := ast.CapabilitiesForThisVersion()
	var kept []*ast.Builtin
	for _, b := range c.Builtins {
		if names[b.Name] && !b.IsDeprecated() {
			kept = append(kept, b)
		}
	}
	for _, b := range bounded.Builtins() {
		kept = append(kept, &ast.Builtin{Name: b.Name, Decl: b.Decl})
	}
	for _, o := range ownBuiltins() {
		kept = append(kept, &ast.Builtin{Name: o.name, Decl: o.decl})
	}
	c.Builtins = kept
	c.AllowNet = []string{} // empty and not nil: nil would mean any host
	return c
}
