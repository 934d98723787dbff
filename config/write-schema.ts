/** `npm run schema`: writes what is made from the schema and checked in: both JSON Schemas and the reference's tables. */
import { readFileSync, writeFileSync } from 'node:fs'
import { editorSchemaOf } from './schema/json-schema.ts'
import { withReference } from './schema/reference.ts'

const at = (path: string): URL => new URL(path, import.meta.url)
const json = (file: 'settings' | 'routes'): string => `${JSON.stringify(editorSchemaOf(file), undefined, 2)}\n`

writeFileSync(at('schema.json'), json('settings'))
writeFileSync(at('schema-routes.json'), json('routes'))
const document = at('../docs/configuration.md')
writeFileSync(document, withReference(readFileSync(document, 'utf8')))
