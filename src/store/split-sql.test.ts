import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { splitSql } from './split-sql.ts'

test('statements end at a semicolon, the last one also without', () => {
  assert.deepEqual(splitSql('select 1;\n\nselect 2 ; ;select 3'), [
    'select 1',
    'select 2',
    'select 3',
  ])
})

test('a semicolon in a string, a name, a comment or a dollar-quoted body ends nothing', () => {
  const statements = [
    "insert into a values ('one; it''s two;')",
    'create table "odd;""name" (id text)',
    'select $$ a; b $$, $tag$ c; $$ d; $tag$',
    'select 1 - 1, 4 / 2, $1',
  ]
  assert.deepEqual(splitSql(statements.join(';\n')), statements)
})

test('comments are left out', () => {
  const text = '-- first; line\nselect 1 /* inner; one */;\n-- only; a comment\n'
  assert.deepEqual(splitSql(text), ['select 1'])
})

test('a thing without an end takes the rest', () => {
  for (const open of ["select 'a; b", 'select "a; b', 'select $$ a; b']) {
    assert.deepEqual(splitSql(open), [open])
  }
  assert.deepEqual(splitSql('select 1 /* a; b'), ['select 1'])
})

test('any text is split, quickly and without an empty statement', () => {
  const parts = fc.constantFrom("'", '"', '$$', '$a$', '--', '/*', '*/', ';', '\n', 'x', ' ')
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 200 }), (pieces) => {
      const statements = splitSql(pieces.join(''))
      assert.ok(statements.every((statement) => statement.trim() !== ''))
    }),
    { numRuns: 200 },
  )
})
