// Package accountcmd is the commands about accounts: assay login and logout, which keep credentials where docker does, and assay user.
package accountcmd
