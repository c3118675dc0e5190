/** `.well-known/smart-configuration`, of what is enforced here and what the issuer says of itself. Source: SMART App Launch 2.2, conformance. */
import type { Issuer, IssuerMetadata } from './issuer.ts';

/** What scopes mean is decided here, whoever issues them. */
const ENFORCED = ['permission-patient', 'permission-user', 'permission-v1', 'permission-v2'] as const;

/** The embedded server's: each is tested in test/authorization. */
const EMBEDDED = [
  'launch-ehr',
  'launch-standalone',
  'authorize-post',
  'client-public',
  'client-confidential-symmetric',
  'client-confidential-asymmetric',
  'sso-openid-connect',
  'context-banner',
  'context-style',
  'context-ehr-patient',
  'context-ehr-encounter',
  'context-standalone-patient',
  'context-standalone-encounter',
  'permission-offline',
  'permission-online',
] as const;

/** @param issuer PUBLIC_URL/oauth; `paths` are below it */
export function embeddedMetadata(
  issuer: string,
  paths: { readonly [name in 'authorization' | 'token' | 'introspection' | 'revocation' | 'jwks']: string },
): IssuerMetadata {
  return {
    authorization_endpoint: issuer + paths.authorization,
    token_endpoint: issuer + paths.token,
    introspection_endpoint: issuer + paths.introspection,
    revocation_endpoint: issuer + paths.revocation,
    jwks_uri: issuer + paths.jwks,
    grant_types_supported: ['authorization_code', 'client_credentials', 'refresh_token'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
    response_types_supported: ['code'],
    capabilities: EMBEDDED,
  };
}

/** The first issuer that says where tokens are got; undefined: apps cannot be led to one. */
export function speaker(
  issuers: readonly Issuer[],
): { readonly issuer: string; readonly metadata: IssuerMetadata } | undefined {
  return issuers.flatMap(({ issuer, metadata }) => (metadata === undefined ? [] : [{ issuer, metadata }]))[0];
}

/** JSON text of the document; undefined without an issuer to speak of. `issuer` is said with `sso-openid-connect` only, as the rule is. */
export function smartConfiguration(issuers: readonly Issuer[]): string | undefined {
  const found = speaker(issuers);
  if (found === undefined) return undefined;
  const { jwks_uri, capabilities, ...metadata } = found.metadata;
  const signsOn = capabilities.includes('sso-openid-connect') && jwks_uri !== undefined;
  return JSON.stringify({
    ...(signsOn ? { issuer: found.issuer, jwks_uri } : {}),
    ...metadata,
    code_challenge_methods_supported: ['S256'],
    scopes_supported: [
      ...(signsOn ? ['openid', 'fhirUser'] : []),
      ...['patient', 'user', 'system'].flatMap((context) => [`${context}/*.cruds`, `${context}/*.*`]),
    ],
    capabilities: [
      ...new Set([...capabilities.filter((each) => signsOn || each !== 'sso-openid-connect'), ...ENFORCED]),
    ],
  });
}
