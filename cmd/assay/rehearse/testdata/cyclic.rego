package assay

o[k] := 1 if some k in ["a"]

m[k] := o if some k in ["b"]

y := 1 if input.subject.tag == "b"

y := o if input.subject.tag == "a"

r := y if input.subject.tag == "b"

r := m if input.subject.tag == "a"

push.deny contains {"code": "a.b", "msg": "x"} if {
	r == {1}
}

push.deny contains {"code": "a.c", "msg": "x"} if {
	r == {2}
}
