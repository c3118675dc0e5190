/** The look of our pages for apps that want to fit in. Source: SMART App Launch 2.2, "Styling" (`smart_style_url`). */
import type { PageAnswer } from './interaction.ts';

/** Below the issuer; changes of the look change the name, as the specification asks. */
export const STYLE_PATH = '/style-1.json';

const STYLE = {
  color_background: '#ffffff',
  color_error: '#a4130e',
  color_highlight: '#0b57d0',
  color_modal_backdrop: '#1b1f24',
  color_success: '#146c2e',
  color_text: '#1b1f24',
  dim_border_radius: '4px',
  dim_font_size: '16px',
  dim_spacing_size: '16px',
  font_family_body: 'system-ui, sans-serif',
  font_family_heading: 'system-ui, sans-serif',
} as const;

/** For apps of any origin: nothing of it is anybody's. */
export function styleAnswer(): PageAnswer {
  const headers = {
    'Content-Type': 'application/json',
    'Cache-Control': 'public, max-age=86400',
    'Access-Control-Allow-Origin': '*',
  };
  return { status: 200, headers, body: JSON.stringify(STYLE) };
}
