# METADATA
# scope: package
# title: open
# description: |
#   Allows everything. A repository that no policy matches is refused, so that an open repository is always a decision that somebody wrote down.
package assay

push.deny := set()

admit.deny := set()

tag.deny := set()
