package verify

// Extensions is how Fact.Extensions names what a Fulcio certificate says of the build that it was issued to: by the last number N of the extension's OID
// 1.3.6.1.4.1.57264.1.N (Fulcio, docs/oid-info.md). 1 and 8 are Fact.Issuer, 7 is a form of Fact.Identity. 2 to 6 are of old certificates, of GitHub's workflows alone,
// whose successors stand below; both are in today's certificates.
func Extensions() map[int]string {
	return map[int]string{
		2: "github_workflow_trigger", 3: "github_workflow_sha", 4: "github_workflow_name", 5: "github_workflow_repository", 6: "github_workflow_ref",

		9:  "build_signer_uri", // the reusable workflow that signed, with its ref
		10: "build_signer_digest",
		11: "runner_environment", // "github-hosted" or "self-hosted"
		12: "source_repository_uri",
		13: "source_repository_digest", // the commit
		14: "source_repository_ref",
		15: "source_repository_identifier",
		16: "source_repository_owner_uri",
		17: "source_repository_owner_identifier",
		18: "build_config_uri", // the workflow at the top
		19: "build_config_digest",
		20: "build_trigger",
		21: "run_invocation_uri",
		22: "source_repository_visibility_at_signing",
		23: "deployment_environment",
	}
}
