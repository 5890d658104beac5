package memory

import (
	"maps"
	"slices"

	"github.com/callsheet-go/callsheet"
)

// What goes in and what comes out is cloned, so that nobody holds a map or slice that is kept.
// Empty ones become nil: a Definition means the same with either, and is equal to itself.

func cloneSource(s callsheet.Source) callsheet.Source {
	s.Labels, s.Headers = cloneMap(s.Labels), cloneMap(s.Headers)
	s.Auth.Scopes, s.Auth.Params = cloneSlice(s.Auth.Scopes), cloneMap(s.Auth.Params)
	s.Rules = cloneRules(s.Rules)
	s.Limits = cloneSlice(s.Limits)
	return s
}

func cloneRequest(r callsheet.Request) callsheet.Request {
	r.Labels, r.Query, r.Headers = cloneMap(r.Labels), cloneMap(r.Query), cloneMap(r.Headers)
	r.Pages, r.Cursor = clonePointer(r.Pages), clonePointer(r.Cursor)
	if r.Pages != nil {
		r.Pages.Start = clonePointer(r.Pages.Start)
	}
	r.Form, r.Multipart = cloneMap(r.Form), cloneSlice(r.Multipart)
	r.Params, r.Rules = cloneMap(r.Params), cloneRules(r.Rules)
	return r
}

func cloneRules(rules []callsheet.AnswerRule) []callsheet.AnswerRule {
	rules = cloneSlice(rules)
	for i := range rules {
		rules[i].Status, rules[i].Values = cloneSlice(rules[i].Status), cloneSlice(rules[i].Values)
	}
	return rules
}

func cloneExtract(e callsheet.Extract) callsheet.Extract {
	e.Labels, e.Fields = cloneMap(e.Labels), cloneFields(e.Fields)
	e.CSV.Columns = cloneSlice(e.CSV.Columns)
	return e
}

func cloneFields(fields []callsheet.Field) []callsheet.Field {
	fields = cloneSlice(fields)
	for i := range fields {
		fields[i].Default, fields[i].Const = cloneValue(fields[i].Default), cloneValue(fields[i].Const)
		fields[i].Fields = cloneFields(fields[i].Fields)
	}
	return fields
}

// cloneValue clones a value as JSON knows them.
func cloneValue(v any) any {
	switch v := v.(type) {
	case []any:
		all := slices.Clone(v)
		for i := range all {
			all[i] = cloneValue(all[i])
		}
		return all
	case map[string]any:
		all := maps.Clone(v)
		for name := range all {
			all[name] = cloneValue(all[name])
		}
		return all
	}
	return v
}

func cloneDelivery(d callsheet.Delivery) callsheet.Delivery {
	d.Labels, d.Key = cloneMap(d.Labels), cloneSlice(d.Key)
	return d
}

func cloneSchedule(s callsheet.Schedule) callsheet.Schedule {
	s.Labels, s.Params = cloneMap(s.Labels), cloneMap(s.Params)
	s.Blackouts = cloneSlice(s.Blackouts)
	s.Cursor, s.Validators = clonePointer(s.Cursor), clonePointer(s.Validators)
	return s
}

func cloneSchedules(rows []*callsheet.Schedule) []callsheet.Schedule {
	var all []callsheet.Schedule
	for _, row := range rows {
		all = append(all, cloneSchedule(*row))
	}
	return all
}

func cloneExecution(e callsheet.Execution) callsheet.Execution {
	e.Attempts = cloneSlice(e.Attempts)
	e.Gap = clonePointer(e.Gap)
	e.Progress = cloneProgress(e.Progress)
	return e
}

func cloneProgress(p *callsheet.Progress) *callsheet.Progress {
	p = clonePointer(p)
	if p != nil {
		p.Seen, p.Validators, p.Part = cloneSlice(p.Seen), clonePointer(p.Validators), clonePointer(p.Part)
	}
	return p
}

func cloneExecutions(rows []*execution) []callsheet.Execution {
	var all []callsheet.Execution
	for _, row := range rows {
		all = append(all, cloneExecution(row.Execution))
	}
	return all
}

func cloneAnswer(a callsheet.Answer) callsheet.Answer {
	a.Header, a.Body = a.Header.Clone(), slices.Clone(a.Body)
	a.Progress = cloneProgress(a.Progress)
	return a
}

func cloneMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

func cloneSlice[E any](s []E) []E {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
