package migrate

import (
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// columnType is a type as the catalog and the parser both can tell it.
type columnType struct {
	name string // as in pg_type: varchar, int4, numeric
	mods []int  // such as 10 and 2 of numeric(10,2); empty without
	dims bool   // an array
}

// typeChange is one ALTER COLUMN ... TYPE.
type typeChange struct {
	table, column string
	to            columnType
	typeName      string // for to_regtype
	using         bool
	collates      bool // and another order
}

func typeOf(t *pgquery.TypeName) columnType {
	found := columnType{name: lastName(t.GetNames()), dims: len(t.GetArrayBounds()) > 0}
	mods := t.GetTypmods()
	if found.name == "interval" && len(mods) > 0 { // the first says which fields; 32767: all
		if len(mods) == 1 || mods[0].GetAConst().GetIval().GetIval() != 32767 {
			return columnType{name: "interval", mods: []int{-1}, dims: found.dims}
		}
		mods = mods[1:]
	}
	for _, mod := range mods {
		if number := mod.GetAConst().GetIval(); number != nil {
			found.mods = append(found.mods, int(number.Ival))
		}
	}
	return found
}

// declared reads format_type's answer for typmods: character varying(20) and
// numeric(10,2) are the only ones that rewritesFor looks at.
func declared(name, formatted string) columnType {
	t := columnType{name: strings.TrimPrefix(name, "_"), dims: strings.HasPrefix(name, "_")}
	open, end := strings.IndexByte(formatted, '('), strings.IndexByte(formatted, ')')
	if open < 0 || end < open {
		return t
	}
	for _, part := range strings.Split(formatted[open+1:end], ",") {
		number := 0
		for _, digit := range strings.TrimSpace(part) {
			if digit < '0' || digit > '9' {
				return t
			}
			number = number*10 + int(digit-'0')
		}
		t.mods = append(t.mods, number)
	}
	return t
}

// rewritesFor says whether changing a column's type writes the table anew, and
// whether the new type holds less than the old one did. A change is free where
// the two are the same to the bit and the length only grows:
// https://www.postgresql.org/docs/15/sql-altertable.html#SQL-ALTERTABLE-NOTES
func rewritesFor(from, to columnType) (rewrites, narrows bool) {
	if from.name == to.name && from.dims == to.dims && slices.Equal(from.mods, to.mods) {
		return false, false
	}
	if from.name == to.name && from.dims == to.dims && len(to.mods) == 0 {
		return false, false
	}
	if from.dims || to.dims {
		return true, true
	}
	switch {
	case to.name == "text" || to.name == "varchar" && len(to.mods) == 0:
		free := from.name == "text" || from.name == "varchar"
		return !free, from.name != "bpchar" && !free
	case from.name == to.name && (to.name == "varchar" || to.name == "varbit"):
		wider := len(from.mods) == 1 && to.mods[0] >= from.mods[0]
		return !wider, !wider
	case from.name == to.name && to.name == "numeric":
		if len(from.mods) == 0 {
			return true, true
		}
		sameScale := scale(from) == scale(to)
		wider := to.mods[0]-scale(to) >= from.mods[0]-scale(from) && scale(to) >= scale(from)
		return !sameScale || !wider, !wider
	case from.name == to.name && (strings.HasPrefix(to.name, "time") || to.name == "interval"):
		free := to.mods[0] == 6 || len(from.mods) == 1 && to.mods[0] >= from.mods[0]
		return !free, !free
	case from.name == "cidr" && to.name == "inet":
		return false, false
	}
	return true, !widens[from.name+" "+to.name]
}

func scale(t columnType) int {
	if len(t.mods) < 2 {
		return 0
	}
	return t.mods[1]
}

// widens are the changes that a program which still expects the old type hardly sees.
var widens = map[string]bool{
	"int2 int4": true, "int2 int8": true, "int4 int8": true, "float4 float8": true,
	"int2 numeric": true, "int4 numeric": true, "int8 numeric": true, "json jsonb": true, "bpchar varchar": true,
}
