package postgres_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/extract"
)

func TestValues_AreExactOrRefused(t *testing.T) {
	const no = "refused: "
	nested := extract.NewRecord(extract.Value{Name: "b", Value: json.Number("1.10")}, extract.Value{Name: "a", Value: []any{nil, "x"}})
	at := time.Date(2026, 3, 29, 1, 30, 0, 123456789, time.FixedZone("", 2*3600))
	d, pool := open(t, "CREATE DOMAIN percent AS integer CHECK (VALUE <= 100); CREATE DOMAIN share AS percent; CREATE TYPE mood AS ENUM ('sad', 'ok')")
	for i, c := range []struct {
		typ   string
		value any
		want  string // as the server writes it, or why it is refused
	}{
		{"bigint", json.Number("9223372036854775807"), "9223372036854775807"},
		{"bigint", json.Number("-9223372036854775808"), "-9223372036854775808"},
		{"bigint", json.Number("9223372036854775808"), no + "bigint: 9223372036854775808 is out of range"},
		{"bigint", json.Number("1e400"), no + "bigint: 1e400 is out of range"},
		{"bigint", json.Number("1e999999999999999999999"), no + "out of range"},
		{"bigint", json.Number("1e-999999999999999999999"), no + "not a whole number"},
		{"bigint", json.Number("0e999999999999999999999"), "0"},
		{"bigint", json.Number("9007199254740993.0"), "9007199254740993"},
		{"bigint", json.Number("-1.20E+3"), "-1200"},
		{"bigint", json.Number("0.5"), no + "0.5 is not a whole number"},
		{"bigint", " 42 ", "42"},
		{"bigint", "42.0", no + `"42.0" is not a whole number`},
		{"bigint", true, no + "true is not a whole number"},
		{"bigint", 1e3, "1000"},
		{"bigint", 0.5, no + "not a whole number"},
		{"bigint", math.Inf(1), no + "not a whole number"},
		{"bigint", uint64(math.MaxUint64), no + "out of range"},
		{"smallint", json.Number("32768"), no + "smallint: 32768 is out of range"},
		{"integer", json.Number("2147483647"), "2147483647"},
		{"numeric", json.Number("0.30000000000000004000"), "0.30000000000000004000"},
		{"numeric", json.Number("1e400"), "1" + strings.Repeat("0", 400)},
		{"numeric", json.Number("1e200000"), no + "value overflows numeric format"},
		{"numeric", json.Number("-170141183460469231731687303715884105728"), "-170141183460469231731687303715884105728"},
		{"numeric", 0.1, "0.1"},
		{"numeric", true, no + "true is not a number"},
		{"numeric", "1; DROP TABLE x", no + "invalid input syntax"},
		{"numeric(4,2)", json.Number("100"), no + "numeric field overflow"},
		{"double precision", json.Number("0.1"), "0.1"},
		{"double precision", json.Number("-0"), "-0"},
		{"double precision", json.Number("1e400"), no + "1e400 is out of range"},
		{"double precision", math.NaN(), "NaN"},
		{"real", json.Number("1e39"), no + "real: 1e39 is out of range"},
		{"real", json.Number("0.1"), "0.1"},
		{"boolean", true, "true"},
		{"boolean", "yes", "true"},
		{"boolean", json.Number("1"), no + "1 is neither true nor false"},
		{"timestamptz", at, "2026-03-28 23:30:00.123456+00"},
		{"timestamp", at, "2026-03-28 23:30:00.123456"},
		{"date", at, "2026-03-28"},
		{"timestamptz", time.Date(0, 2, 29, 0, 0, 0, 0, time.UTC), "0001-02-29 00:00:00+00 BC"},
		{"timestamptz", time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), "20000-01-01 00:00:00+00"},
		{"timestamptz", "2026-03-29T01:30:00+02:00", "2026-03-28 23:30:00+00"},
		{"timestamptz", "now", no + `"now" is not a time`},
		{"timestamptz", json.Number("1795441500"), no + "1795441500 is not a time"},
		{"timestamptz", "2026-02-30", no + "date/time field value out of range"},
		{"text", json.Number("1.10"), "1.10"},
		{"text", at, "2026-03-29T01:30:00.123456789+02:00"},
		{"text", nested, `{"b":1.10,"a":[null,"x"]}`},
		{"text", []any{}, "[]"},
		{"text", 1.5, "1.5"},
		{"text", "\\N", "\\N"},
		{"text", "\\.", "\\."},
		{"text", "a\x00b", no + "text: text with U+0000, which PostgreSQL cannot keep"},
		{"text", "a\xffb", no + "text that is not UTF-8"},
		{"varchar(3)", "abcd", no + "value too long"},
		{"jsonb", nested, `{"a": [null, "x"], "b": 1.10}`},
		{"jsonb", "text", `"text"`},
		{"jsonb", json.Number("1e400"), "1" + strings.Repeat("0", 400)},
		{"jsonb", "a\x00b", no + "jsonb: text with U+0000"},
		{"jsonb", extract.NewRecord(extract.Value{Name: "a\x00", Value: nil}), no + "U+0000"},
		{"jsonb", `a\u0000`, `"a\\u0000"`},
		{"jsonb", math.NaN(), no + "cannot be written as JSON"},
		{"json", nested, `{"b":1.10,"a":[null,"x"]}`},
		{"json", "a\x00b", `"a\u0000b"`},
		{"jsonb", at, `"2026-03-29T01:30:00.123456789+02:00"`},
		{"bytea", `\x41`, `\x5c783431`},
		{"uuid", "0193a7b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b", "0193a7b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b"},
		{"uuid", "x", no + "invalid input syntax for type uuid"},
		{"inet", "192.0.2.1", "192.0.2.1/32"},
		{"mood", "ok", "ok"},
		{"mood", "great", no + "invalid input value for enum mood"},
		{"share", json.Number("1e2"), "100"},
		{"share", json.Number("1.5"), no + "share: 1.5 is not a whole number"},
		{"share", json.Number("101"), no + "violates check constraint"},
	} {
		for _, mode := range []string{"append", "upsert"} {
			name := fmt.Sprintf("%s %v %s", c.typ, c.value, mode)
			table := fmt.Sprintf("t%d%s", i, mode)
			execute(t, pool, "CREATE TABLE "+table+" (k integer PRIMARY KEY, v "+c.typ+")")
			delivery := into(table)
			if mode == "upsert" {
				delivery = upsert(table, "k")
			}
			b := batch(delivery, row("k", 1, "v", c.value), row("k", 2, "v", nil))
			if reason, ok := strings.CutPrefix(c.want, no); ok {
				assert.ErrorContains(t, refused(t, d, b), reason, name)
				continue
			}
			require.NoError(t, d.Deliver(t.Context(), b), name)
			tx, err := pool.Begin(t.Context())
			require.NoError(t, err)
			var got string
			_, err = tx.Exec(t.Context(), "SET LOCAL TIME ZONE 'UTC'")
			require.NoError(t, err)
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT v::text FROM "+table+" WHERE k = 1").Scan(&got), name)
			assert.Equal(t, c.want, got, name)
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT (v IS NULL)::text FROM "+table+" WHERE k = 2").Scan(&got), name)
			assert.Equal(t, "true", got, name)
			require.NoError(t, tx.Rollback(t.Context()))
		}
	}
}

func TestValues_NaughtyStringsSurvive(t *testing.T) {
	text, err := os.ReadFile("testdata/blns.json")
	require.NoError(t, err)
	var naughty []string
	require.NoError(t, json.Unmarshal(text, &naughty))
	require.Len(t, naughty, 515)
	d, pool := open(t, "CREATE TABLE t (k integer PRIMARY KEY, v text, j jsonb)")
	before := catalog(t, pool)
	b := batch(upsert("t", "k"))
	for i, s := range naughty {
		b.Records = append(b.Records, row("k", i, "v", s, "j", []any{s}))
	}
	deliver(t, d, b)
	rows, err := pool.Query(t.Context(), "SELECT v, j->>0 FROM t ORDER BY k")
	require.NoError(t, err)
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		var text, inJSON string
		require.NoError(t, rows.Scan(&text, &inJSON))
		assert.Equal(t, naughty[i], text)
		assert.Equal(t, naughty[i], inJSON)
	}
	require.NoError(t, rows.Err())
	after := catalog(t, pool)
	assert.Empty(t, diff(before, after))
	assert.Empty(t, diff(after, before))
}

func TestMode_OfRowsWithOneKeyUpsertTakesTheLastAndIgnoreTheFirst(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (a integer, b text, v text, untouched text DEFAULT 'mine', UNIQUE (b, a))")
	execute(t, pool, "INSERT INTO t VALUES (1, 'x', 'old')")
	rows := func() []string { return query(t, pool, "SELECT a, b, v, untouched FROM t ORDER BY a, b") }

	deliver(t, d, batch(ignore("t", "a", "b"), row("a", 1, "b", "x", "v", "new"), row("a", 2, "b", "x", "v", "first"), row("a", 2, "b", "x", "v", "second")))
	assert.Equal(t, []string{"1 x old mine", "2 x first mine"}, rows())
	deliver(t, d, batch(ignore("t"), row("a", 1, "b", "x", "v", "new"), row("a", 3, "b", "x", "v", "third")))
	assert.Equal(t, []string{"1 x old mine", "2 x first mine", "3 x third mine"}, rows())

	execute(t, pool, "UPDATE t SET untouched = 'changed'")
	deliver(t, d, batch(upsert("t", "a", "b"), row("a", 1, "b", "x", "v", "new"), row("a", 1, "b", "x", "v", "newest"), row("a", 2, "b", "x", "v", nil)))
	assert.Equal(t, []string{"1 x newest changed", "2 x <nil> changed", "3 x third changed"}, rows())
	deliver(t, d, batch(upsert("t", "a", "b"), row("a", 1, "b", "x"), row("a", 4, "b", "x")))
	assert.Len(t, rows(), 4, "a row of nothing but its key")

	err := refused(t, d, batch(upsert("t", "a", "b"), row("a", 1, "v", "x")))
	assert.ErrorContains(t, err, `record 0 does not fit: column "b": is null, and belongs to the key`)
}

func TestBadRows_SetAsideWithTheReason(t *testing.T) {
	setup := `CREATE TABLE t (k integer PRIMARY KEY, n bigint CHECK (n < 100), v text NOT NULL DEFAULT '');
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not on a Sunday'; END $$;
		CREATE TRIGGER sunday BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.v = 'sunday') EXECUTE FUNCTION refuse()`
	records := func() []extract.Record {
		all := make([]extract.Record, 50)
		for i := range all {
			all[i] = row("k", i, "n", json.Number(fmt.Sprint(i)), "v", "good")
		}
		all[3] = row("k", 3, "n", json.Number("1e400"), "v", "")
		all[4] = row("k", 4, "n", nil, "v", "a\x00b")
		all[17] = row("k", 17, "n", json.Number("170"), "v", "")
		all[18] = row("k", 18, "n", nil, "v", nil)
		all[30] = row("k", 29, "n", nil, "v", "again")
		all[31] = row("k", 31, "n", make(chan int), "v", "")
		all[49] = row("k", 49, "n", nil, "v", "sunday")
		return all
	}
	d, pool := open(t, setup)
	for _, i := range []int{3, 4, 17, 18, 30, 31, 49} {
		assert.Error(t, refused(t, d, batch(into("t"), append([]extract.Record{row("k", 29, "n", nil, "v", "")}, records()[i])...)), i)
	}
	assert.ErrorContains(t, refused(t, d, batch(into("t"), records()...)), "record 3 does not fit: column \"n\": bigint: 1e400 is out of range (and 2 more do not fit)")
	assert.Equal(t, []string{"0 0"}, query(t, pool, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM callsheet.delivered_batches)"))

	lenient := newDestination(t, pool, postgres.WithBadRows(postgres.SetAside))
	b := batch(into("t"), records()...)
	deliver(t, lenient, b)
	deliver(t, lenient, b)
	assert.Equal(t, []string{"43"}, query(t, pool, "SELECT count(*) FROM t"))
	assert.Equal(t, []string{"50 7"}, query(t, pool, "SELECT records, rejected FROM callsheet.delivered_batches"))
	rejected := query(t, pool, "SELECT position, coalesce(record::text, 'none'), reason FROM callsheet.rejected_records ORDER BY position")
	for i, want := range []struct{ record, reason string }{
		{`3 {"k":3,"n":1e400,"v":""}`, `column "n": bigint: 1e400 is out of range`},
		{`4 {"k":4,"n":null,"v":"a\u0000b"}`, `column "v": text: text with U+0000, which PostgreSQL cannot keep`},
		{`17 {"k":17,"n":170,"v":""}`, `violates check constraint`},
		{`18 {"k":18,"n":null,"v":null}`, `violates not-null constraint`},
		{`30 {"k":29,"n":null,"v":"again"}`, `duplicate key value violates unique constraint`},
		{`31 none`, `cannot be written as JSON`},
		{`49 {"k":49,"n":null,"v":"sunday"}`, `not on a Sunday`},
	} {
		require.Greater(t, len(rejected), i)
		assert.Contains(t, rejected[i], want.record+" ")
		assert.Contains(t, rejected[i], want.reason)
	}
	assert.Len(t, rejected, 7)

	// Merged rows are set aside one by one too, and the last good one of a key stays.
	deliver(t, lenient, batch(upsert("t", "k"),
		row("k", 1, "n", 1, "v", "first"), row("k", 1, "n", 2, "v", "second"), row("k", 1, "n", 1000, "v", "bad"), row("k", nil, "n", 1, "v", "")))
	assert.Equal(t, []string{"2 second"}, query(t, pool, "SELECT n, v FROM t WHERE k = 1"))
	assert.Len(t, query(t, pool, "SELECT FROM callsheet.rejected_records"), 9)
}
